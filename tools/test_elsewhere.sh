#!/bin/sh
# A short part of the tests on another Python or another processor, in a directory of its own in out.
#
#   tools/test_elsewhere.sh newest [TEST ...]     the newest Python that is supported
#   tools/test_elsewhere.sh arm64 [TEST ...]      faces on an emulated ARM processor
#
# Named tests are run in place of that part: tests/test_cli.py::test_doctor_finds_this_machine_in_order
# renders a talk, too, which takes an emulated processor a minute.
# Where there is no such Python here and Debian's packages do not bring it, a line says so, and
# nothing has failed. It needs uv.
set -eu
cd "$(dirname "$0")/.."

place=out/${1-}
case ${1-} in
    newest)
        version=3.14 release=forky architecture=amd64
        tests="tests/face/test_everywhere.py tests/confinement tests/engines/warp/test_rig.py
            tests/media/test_video.py tests/job/test_job.py tests/test_examples.py"
        ;;
    arm64)
        version=3.13 release=trixie architecture=arm64
        tests="--noconftest -p pytest_timeout tests/face/test_everywhere.py"
        ;;
    *) echo "newest or arm64?" >&2; exit 2 ;;
esac
what=$1
shift
skip() { echo "no tests in $place: $1"; exit 0; }
command -v uv >/dev/null || skip "no uv here"

python=$place/usr/bin/python
if [ "$what" = newest ] && python$version -c '' 2>/dev/null; then
    python=python$version
elif [ "$what" = newest ] && uv python find --quiet --managed-python $version >/dev/null 2>&1; then
    python=$(uv python find --quiet --managed-python $version)
elif [ ! -x "$python" ]; then
    why=$(tools/debian_python.sh $version $release $architecture "$place" 2>&1) || skip "$why"
fi
uv venv --quiet --allow-existing --python "$python" "$place/venv"
uv pip install --quiet --index-strategy unsafe-best-match --python "$place/venv/bin/python" \
    --constraint constraints.txt --requirements pyproject.toml --extra speech --extra test
if [ $# -eq 0 ]; then
    # shellcheck disable=SC2086
    set -- $tests
    # An emulated processor is spared what these need not: most of its time is importing
    [ "$what" = newest ] || export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
fi
PYTHONPATH=$PWD/src "$place/venv/bin/python" -m pytest -q -p no:cacheprovider "$@"
