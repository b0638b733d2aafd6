"""The names of SGLang's compiled kernels that its CPU path imports unguarded, on a machine without these kernels.

Calling one raises and says which. No other name is answered: a catch-all would break SGLang's own `except ImportError`
fall-backs. torch.ops.sgl_kernel stays empty, so SGLang sees no AMX and takes its plain torch paths.
"""

__version__ = "0+none"
NAMES = (
    "assign_draft_cache_locs_contiguous_cpu",
    "assign_extend_cache_locs_cpu",
    "assign_req_to_token_pool_cpu",
    "build_tree_kernel_efficient_cpu",
    "copy_all_layer_kv_cache_cpu",
    "fill_accept_out_cache_loc_cpu",
    "fill_bonus_tokens_cpu",
    "rotate_input_ids_cpu",
    "verify_tree_greedy_cpu",
)


def _absent(name):
    def absent(*_args, **_options):
        raise NotImplementedError(f"sgl_kernel.{name} is one of SGLang's compiled kernels, which are not here")

    absent.__name__ = absent.__qualname__ = name
    return absent


globals().update({name: _absent(name) for name in NAMES})
