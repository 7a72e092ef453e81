#!/bin/sh
# Write the bill of materials (CycloneDX) and the licences of an environment: papers.sh PYTHON FOLDER
# The tools have an environment of their own, so that they are not among what they list.
set -eu
python=$1 folder=$2
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check \
  "cyclonedx-bom==7.5.0" "pip-licenses==5.5.5"
mkdir -p "$folder"
"$tools/bin/cyclonedx-py" environment --output-reproducible --output-format JSON \
  --output-file "$folder/sbom.cdx.json" "$python"
"$tools/bin/pip-licenses" --python="$python" --from=mixed --with-urls --order=license \
  --format=markdown --output-file="$folder/licences.md"
