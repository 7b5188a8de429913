"""Prints the lower bounds of a wheel's requirements as constraints for pip: python .ci/lowest_versions.py WHEEL"""

import sys
import zipfile

from packaging.metadata import Metadata


def main() -> None:
    """Prints one constraint for each requirement outside of the extras."""
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        [name] = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        requirements = Metadata.from_email(wheel.read(name), validate=False).requires_dist
    for requirement in requirements or ():
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        [lowest] = (one.version for one in requirement.specifier if one.operator == ">=")
        print(f"{requirement.name}=={lowest}")


if __name__ == "__main__":
    main()
