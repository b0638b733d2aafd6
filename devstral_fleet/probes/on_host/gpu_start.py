"""Start the vendor's GPU runtime as an engine does, and say how it went, as one line of JSON.

    python3 - LIBRARY PREFIX [MIB ROUNDS]

With MIB and ROUNDS it also copies that much memory that often to each GPU and back, and says how fast.
Standard library only. CUDA's driver interface and HIP name the same calls by a prefix, apart from those in NAMES.
"""

import ctypes
import json
import sys
import time

HIP = {
    "cuMemHostAlloc": "hipHostMalloc",
    "cuMemFreeHost": "hipHostFree",
    "cuMemAlloc_v2": "hipMalloc",
    "cuMemFree_v2": "hipFree",
    "cuMemcpyHtoD_v2": "hipMemcpyHtoD",
    "cuMemcpyDtoH_v2": "hipMemcpyDtoH",
    "cuDeviceGetCount": "hipGetDeviceCount",
}


class Refused(Exception):
    """A call that did not succeed: its name and the runtime's number."""


class Runtime:
    """The vendor's library."""

    def __init__(self, library, prefix):
        self.library = ctypes.CDLL(library)
        self.hip = prefix == "hip"

    def call(self, name, *arguments):
        """Call a function that returns 0 or the number of an error."""
        code = getattr(self.library, HIP.get(name, name.replace("cu", "hip", 1)) if self.hip else name)(*arguments)
        if code:
            raise Refused(name, code)

    def name(self, code):
        """Return the runtime's own name of an error's number."""
        text = ctypes.c_char_p()
        if self.hip:
            self.library.hipGetErrorName.restype = ctypes.c_char_p
            text = ctypes.c_char_p(self.library.hipGetErrorName(code))
        else:
            self.library.cuGetErrorName(code, ctypes.byref(text))
        return (text.value or b"").decode()

    def count(self):
        """Start the runtime; return how many GPUs it has."""
        found = ctypes.c_int()
        self.call("cuInit", 0)
        self.call("cuDeviceGetCount", ctypes.byref(found))
        return found.value

    def use(self, index):
        """Make a GPU the current one."""
        if self.hip:
            self.call("cuSetDevice", index)
            return
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuDeviceGet", ctypes.byref(device), index)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)

    def speeds(self, index, size, rounds):
        """Return gigabytes a second (10^9 bytes) to a GPU and back, from memory that is pinned; the best round."""
        self.use(index)
        here, there, bytes_ = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t(size)
        self.call("cuMemHostAlloc", ctypes.byref(here), bytes_, ctypes.c_uint(0))
        self.call("cuMemAlloc_v2", ctypes.byref(there), bytes_)
        ways = (("cuMemcpyHtoD_v2", there, here), ("cuMemcpyDtoH_v2", here, there))
        found = [
            size / min(self.timed(name, to, source, bytes_) for _ in range(rounds)) / 1e9 for name, to, source in ways
        ]
        self.call("cuMemFree_v2", there)
        self.call("cuMemFreeHost", here)
        return found

    def timed(self, *call):
        """Return the seconds of a call."""
        began = time.perf_counter()
        self.call(*call)
        return time.perf_counter() - began


def answer(library, prefix, mib=0, rounds=0):
    """Return what is printed."""
    try:
        runtime = Runtime(library, prefix)
    except OSError as error:
        return {"devices": 0, "code": -1, "error": str(error), "speeds": []}
    speeds = []
    try:
        devices = runtime.count()
        for index in range(devices if rounds else 0):
            speeds.append([round(speed, 2) for speed in runtime.speeds(index, mib << 20, rounds)])
    except Refused as refused:
        name, code = refused.args
        return {"devices": 0, "code": code, "error": f"{name}: {runtime.name(code)}", "speeds": speeds}
    return {"devices": devices, "code": 0, "error": "", "speeds": speeds}


if __name__ == "__main__":
    print(json.dumps(answer(*sys.argv[1:3], *map(int, sys.argv[3:]))))
