"""How fast a run is, and how much of the device it uses."""

# Dense peak of one device, in TFLOP/s: float32 products (as TF32 where the device has it), and half precision (float16
# or bfloat16). Vendors' data sheets.
PEAKS = {
    "V100": (15.7, 125.0),
    "T4": (8.1, 65.0),
    "A10G": (35.0, 70.0),
    "A100": (156.0, 312.0),
    "L4": (60.0, 121.0),
    "L40S": (183.0, 362.0),
    "H100 PCIe": (378.0, 756.0),
    "H100": (494.0, 989.0),
    "H200": (494.0, 989.0),
    "B200": (1125.0, 2250.0),
}


def peak_flops(device_name: str, precision: str) -> float | None:
    """Returns the peak of a known device in FLOP/s, `None` for others.

    Args:
        device_name: str. As the driver names it, e.g. `"Tesla V100-SXM2-16GB"`.
        precision: `"float32"`, `"mixed_float16"` or `"mixed_bfloat16"`.
    """
    words = device_name.replace("-", " ").split()
    for name, peaks in PEAKS.items():
        if all(word in words for word in name.split()):
            return 1e12 * peaks[0 if precision == "float32" else 1]
    return None


class Performance:
    """Rates between two points of a run.

    `model_flops_utilization` = (arithmetic of the model for the pieces seen, padding not counted) / (seconds x replicas
    x peak of one). The arithmetic is that of `cost.step_flops`: forward and backward pass, matrix products alone;
    whatever a program computes besides does not count.

    Args:
        flops_per_piece: float. Of forward and backward pass.
        replicas: int. Devices of the whole run.
        peak: float or `None`. FLOP/s of one device; without it there is no utilization.
    """

    def __init__(self, flops_per_piece: float, replicas: int, peak: float | None):
        self.flops_per_piece = flops_per_piece
        self.replicas = replicas
        self.peak = peak

    def summary(self, pieces: float, seconds: float, waited: float) -> dict[str, float]:
        """Returns rates by tag.

        Args:
            pieces: float. Pieces of all workers, padding not counted.
            seconds: float. Time they took.
            waited: float. Seconds of it in which the loop waited for batches.
        """
        seconds = max(seconds, 1e-9)
        rates = {
            "performance/pieces_per_second": pieces / seconds,
            "performance/data_wait_share": min(1.0, waited / seconds),
            "performance/model_tflops_per_second": self.flops_per_piece * pieces / seconds / 1e12,
        }
        if self.peak:
            rates["performance/model_flops_utilization"] = (
                self.flops_per_piece * pieces / seconds / (self.replicas * self.peak)
            )
        return rates
