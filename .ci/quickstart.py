"""Runs the Python blocks of a page in order, in the current folder, with the installed package alone.

A block that opens a saved model begins a new process. `print(...)  # text` in a block: this line must be printed.
"""

import importlib.util
import pathlib
import re
import subprocess
import sys

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PRINTED = re.compile(r"^print\(.*\)  # (.+)$", re.MULTILINE)

package = importlib.util.find_spec("spanbert_keras")
if package is None or "site-packages" not in package.origin:
    sys.exit(f"Expected the package of the wheel. Received: {package}.")

scripts = [""]
for block in BLOCK.findall(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")):
    if "load_model(" in block:
        scripts.append("")
    scripts[-1] += block
if len(scripts) < 2:
    sys.exit(f"{sys.argv[1]} opens no saved model. Expected: a block with `load_model`.")

for script in scripts:
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{sys.argv[1]}: a block failed, see above. Expected: exit code 0. Received: {done.returncode}.")
    printed, expected = done.stdout.splitlines(), PRINTED.findall(script)
    missing = [line for line in expected if line not in printed]
    if missing:
        sys.exit(f"{sys.argv[1]}: expected the lines {missing}. Received: {printed}.")
    print(f"{sys.argv[1]}: {len(expected)} answers as on the page")
