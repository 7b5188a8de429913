"""Checks a wheel: its only top-level name is spanbert_keras, and it contains the licence and the page template."""

import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
top_level = {name.split("/")[0] for name in names if ".dist-info/" not in name}
if top_level != {"spanbert_keras"}:
    sys.exit(f"{sys.argv[1]}: the only top-level name must be spanbert_keras. Received: {sorted(top_level)}.")
if not any(".dist-info/" in name and name.endswith("LICENSE") for name in names):
    sys.exit(f"{sys.argv[1]}: LICENSE is missing.")
if "spanbert_keras/decoding/resolved_document.html" not in names:
    sys.exit(f"{sys.argv[1]}: spanbert_keras/decoding/resolved_document.html is missing.")
print(f"wheel: {len(names)} files, top-level name spanbert_keras")
