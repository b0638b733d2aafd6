"""Let the torchvision of the public index import beside a torch that was built for the CPU.

Its compiled half links CUDA's libtorch and cannot load, so the two operators that its Python half decorates at import
do not exist. Declaring their schemas is enough: nothing on the text path calls them. sgl_cpu_shim.pth loads this in
every interpreter of the environment (SGLang spawns several); it costs nothing until torchvision is imported.
"""

import sys

OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class DeclareOperators:
    """An import hook that acts once, before torchvision, and finds nothing itself."""

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - the import system's signature
        """Declare the operators when torchvision is about to be imported."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            declare()
        return None


def declare():
    """Declare the schemas; the library object must live as long as torch does."""
    import torch

    library = torch._sgl_cpu_shim_library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in OPERATORS:
        try:
            library.define(operator + SCHEMA)
        except RuntimeError:
            continue  # a torchvision that could load its compiled half has declared it


sys.meta_path.insert(0, DeclareOperators())
