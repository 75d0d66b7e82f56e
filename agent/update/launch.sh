#!/bin/sh
# Starts the current release of evse-agent, and takes the one before it when a new release on trial keeps failing.
# It lies outside of all releases and needs none of them to work: systemd runs it, and the agent restarts through it.
#   current -> releases/VERSION   what is started      previous -> releases/VERSION   what ran before
#   trial    three lines: version on trial, version before it, starts that are left
#   failed   two lines: version that was rolled back, why
# Interpreter: EVSE_AGENT_PYTHON, or that of the release, or that of the last deploy, or python3. docs/firmware.md
set -u
here=$(dirname -- "$0")
root=$(cd -- "$here" && pwd -P) || exit 1

say() { echo "evse-agent launch: $*" >&2; }

# Both halves survive a power cut: a file is complete under its name or not there, a link is the old or the new one.
keep() { printf '%s\n' "$@" >"$root/$name.new" && sync && mv -f "$root/$name.new" "$root/$name"; }

point_current_to() {
    rm -f "$root/current.new"
    ln -s "releases/$1" "$root/current.new" || return 1
    # Where mv has no -T, the link is replaced in two steps.
    mv -fT "$root/current.new" "$root/current" 2>/dev/null || { rm -f "$root/current.new"; ln -sfn "releases/$1" "$root/current"; }
    sync
}

roll_back() {
    say "release $version is rolled back to $before: $1"
    name=failed
    keep "$version" "$1"
    point_current_to "$before" && rm -f "$root/trial"
}

if [ -f "$root/trial" ]; then
    { read -r version; read -r before; read -r left; } <"$root/trial"
    if [ "$(readlink "$root/current")" = "releases/${version:-}" ] && [ -d "$root/releases/${before:-}" ]; then
        case ${left:-} in
            '' | *[!0-9]*) left=0 ;;
        esac
        if [ -f "$root/failed" ] && [ "$(head -n 1 "$root/failed")" = "$version" ]; then
            roll_back "$(sed -n 2p "$root/failed")" # the power went in the middle of it
        elif [ "$left" -gt 0 ]; then
            name=trial
            keep "$version" "$before" $((left - 1)) || say "the starts on trial cannot be counted"
        else
            roll_back "it was started as often as allowed and never got through to the CSMS"
        fi
    fi
fi

release=$(cd -- "$root/current" && pwd -P) || exit 1
EVSE_AGENT_LAUNCHER=$root/$(basename -- "$0")
PYTHONPATH=$release
export EVSE_AGENT_LAUNCHER PYTHONPATH
python=${EVSE_AGENT_PYTHON:-}
for own in "$release/venv/bin/python" "$root/venv/bin/python"; do
    [ -z "$python" ] && [ -x "$own" ] && python=$own
done
exec "${python:-python3}" -P -m agent "$@"
