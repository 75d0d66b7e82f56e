#!/bin/bash
# The half of deploy.sh that works on the charger, as root. deploy.sh sends it along each time; nothing of it stays there.
# Every step looks first, changes only what is not yet right, and may be cut by a power loss: the next run goes on.
# Layout: docs/deployment.md, docs/firmware.md. What the agent may write is only ever written as the agent's user.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

ROOT=/opt/evse-agent
ETC=/etc/evse-agent
STATE=/var/lib/evse-agent
USER_NAME=evse-agent
UNIT=evse-agent.service
COMMAND=/usr/local/bin/evse-agent
# file in the bundle | where it goes | what has to hear of it
SYSTEM_FILES="evse-agent.service|/etc/systemd/system/$UNIT|systemd
60-evse-agent.rules|/etc/udev/rules.d/60-evse-agent.rules|udev
journald.conf|/etc/systemd/journald.conf.d/50-evse-agent.conf|journald
evse-agent.sh|$COMMAND|-"

say() { echo "  $*"; }
fail() {
    echo "Error: $*" >&2
    exit "${CODE:-1}"
}

as_agent() { timeout -k 5 60 setpriv --reuid "$USER_NAME" --regid "$USER_NAME" --init-groups --inh-caps=-all -- "$@"; }

link_target() { [ -L "$1" ] && basename -- "$(readlink "$1")"; }
current() { link_target "$ROOT/current" || true; }
digest_of() { [ -f "$1" ] && sha256sum <"$1" | cut -d' ' -f1 || echo none; }

# --- what is there (changes nothing) ---------------------------------------------------------------------

facts() {
    local name place wants id=unknown version=0 like=''
    if [ -r /etc/os-release ]; then
        id=$(. /etc/os-release && echo "${ID:-unknown}")
        version=$(. /etc/os-release && echo "${VERSION_ID:-0}")
        like=$(. /etc/os-release && echo "${PRETTY_NAME:-}")
    fi
    echo "root=$([ "$(id -u)" = 0 ] && echo yes || echo no)"
    echo "os=$id"
    echo "os_version=$version"
    echo "os_name=$like"
    echo "machine=$(uname -m)"
    echo "bits=$(getconf LONG_BIT 2>/dev/null || echo 0)"
    echo "python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none)"
    echo "venv=$(python3 -c 'import venv, sqlite3, ssl' 2>/dev/null && echo yes || echo no)"
    echo "clock=$(date +%s)"
    echo "systemd=$([ -d /run/systemd/system ] && echo yes || echo no)"
    echo "serial_group=$(getent group dialout >/dev/null && echo yes || echo no)"
    echo "free_opt_mb=$(free_mb /opt)"
    echo "free_state_mb=$(free_mb /var/lib)"
    echo "user=$(id -u "$USER_NAME" >/dev/null 2>&1 && echo yes || echo no)"
    echo "current=$(current)"
    echo "previous=$(link_target "$ROOT/previous" || true)"
    echo "identities=$(identities)"
    echo "versions=$(names_in "$ROOT/releases")"
    echo "venvs=$(names_in "$ROOT/venvs")"
    echo "launch=$(digest_of "$ROOT/launch")"
    echo "config=$(digest_of "$ETC/config.toml")"
    echo "active=$(systemctl is-active $UNIT 2>/dev/null || true)"
    echo "enabled=$(systemctl is-enabled $UNIT 2>/dev/null || true)"
    echo "unfinished=$([ -e "$ROOT/trial" ] || [ -e "$ROOT/.deploying" ] && echo yes || echo no)"
    while IFS='|' read -r name place wants; do
        echo "file.$name=$(digest_of "$place")"
    done <<<"$SYSTEM_FILES"
    echo "board=$(status_value board_firmware || true)"
    echo "board_pcb=$(board_pcb || true)"
    echo "pcb=$(wanted_pcb)"
    echo "driver=$(config_value hal driver || true)"
}

identities() { # VERSION=IDENTITY of every release
    local folder
    for folder in "$ROOT"/releases/*; do
        if [ -f "$folder/.identity" ]; then echo -n "$(basename "$folder")=$(cat "$folder/.identity") "; fi
    done
}

names_in() { find "$1" -mindepth 1 -maxdepth 1 ! -name '.*' -printf '%f ' 2>/dev/null || true; }

free_mb() { df -Pm "$1" 2>/dev/null | awk 'NR == 2 {print $4}'; }

config_value() {
    python3 - "$ETC/config.toml" "$@" <<'PYTHON' 2>/dev/null
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    value = tomllib.load(file)
for key in sys.argv[2:]:
    value = value.get(key, {})
print(value if isinstance(value, str) else "")
PYTHON
}

# --- the agent's own word --------------------------------------------------------------------------------

python_of() { # of a release; the last one put in place serves releases that came over OCPP
    local each
    for each in "$ROOT/releases/$1/venv/bin/python" "$ROOT/venv/bin/python"; do
        [ -x "$each" ] && echo "$each" && return
    done
    return 1
}

agent() { # RELEASE WORDS...: the command line of that release, as the agent's user
    local release=$1 python
    shift
    python=$(python_of "$release") || return 1
    (cd / && as_agent env PYTHONPATH="$ROOT/releases/$release" "$python" -P -m agent "$@")
}

status_json() {
    [ -n "$(current)" ] && agent "$(current)" status --json --config $ETC/config.toml 2>/dev/null
}

status_value() { status_json | python3 -c "import json, sys; print(json.load(sys.stdin)['station'].get('$1', ''))" 2>/dev/null; }

board_pcb() { # the pin map that the board runs with; nothing if it does not say
    [ -n "$(current)" ] && agent "$(current)" board show --json --config $ETC/config.toml 2>/dev/null |
        python3 -c "import json, sys; print(json.load(sys.stdin)['board']['pcb'])" 2>/dev/null
}

wanted_pcb() {
    local pcb
    pcb=$(config_value hal board pcb || true)
    echo "${pcb:-reference}"
}

charging() { # EVSEs with a transaction, or nothing
    status_json | python3 -c "import json, sys; print(*(e['evse_id'] for e in json.load(sys.stdin)['evses'] if e['transaction']))" 2>/dev/null
}

plugged() { # EVSEs with a car
    status_json | python3 -c "import json, sys; print(*(e['evse_id'] for e in json.load(sys.stdin)['evses'] if e['is_plugged']))" 2>/dev/null
}

# One line: "ok TEXT" or "wait REASON".
judge() {
    status_json | python3 -c "
import json, sys
try:
    status = json.load(sys.stdin)
except ValueError:
    sys.exit(print('wait the local API does not answer'))
unlinked = [e['evse_id'] for e in status['evses'] if not e['board_link']]
if unlinked:
    sys.exit(print('wait the board does not answer for EVSE', *unlinked))
registration = status['registration']
if '$1' == 'offline':
    csms = 'no CSMS wanted'
elif not status['link']['is_connected']:
    sys.exit(print('wait the CSMS is not reached at', status['link']['url']))
elif not registration:
    sys.exit(print('wait the CSMS has not answered BootNotification'))
else:
    csms = 'CSMS says ' + registration
print('ok local API answers, board linked,', csms)
"
}

# wait_healthy RELEASE (offline|online) SECONDS: 0 and a line, or 1 and the reason.
wait_healthy() {
    local until=$((SECONDS + $3)) verdict="wait it never started" restarts
    while [ $SECONDS -lt "$until" ]; do
        restarts=$(systemctl show -p NRestarts --value $UNIT 2>/dev/null || echo 0)
        if [ "${restarts:-0}" -gt 2 ] || [ "$(current)" != "$1" ]; then
            verdict="wait it keeps dying"
            break
        fi
        if [ "$(systemctl is-active $UNIT || true)" = active ]; then
            verdict=$(judge "$2")
            [ "${verdict%% *}" = ok ] && echo "${verdict#ok }" && return 0
        elif [ "$(systemctl is-failed $UNIT || true)" = failed ]; then
            verdict="wait it ended: $(systemctl show -p Result --value $UNIT)"
            break
        fi
        sleep 0.5
    done
    echo "${verdict#wait }"
    return 1
}

# --- install ---------------------------------------------------------------------------------------------

make_user() {
    local group
    if ! id -u "$USER_NAME" >/dev/null 2>&1; then
        useradd --system --user-group --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin "$USER_NAME"
        say "user $USER_NAME is made"
    fi
    for group in dialout gpio; do
        if getent group "$group" >/dev/null && ! id -nG "$USER_NAME" | tr ' ' '\n' | grep -qx "$group"; then
            usermod -aG "$group" "$USER_NAME"
            say "$USER_NAME is in group $group"
        fi
    done
}

# The agent may make and replace its own marks here, but nobody else's: launcher, environments and other users' releases.
make_folders() {
    install -d -m 1775 -o root -g "$USER_NAME" "$ROOT"
    install -d -m 0755 -o root -g root "$ROOT/venvs"
    install -d -m 0750 -o root -g "$USER_NAME" "$ETC"
    install -d -m 0750 -o "$USER_NAME" -g "$USER_NAME" "$STATE"
    if [ -n "$(config_value update root || true)" ]; then
        install -d -m 1775 -o root -g "$USER_NAME" "$ROOT/releases"
    else
        install -d -m 0755 -o root -g root "$ROOT/releases"
    fi
    local mark
    for mark in current previous trial failed; do
        if [ -L "$ROOT/$mark" ] || [ -e "$ROOT/$mark" ]; then chown -h "$USER_NAME:$USER_NAME" "$ROOT/$mark"; fi
    done
}

# Notes which release was good before, once, however often the deploy is cut and begun again.
begin() {
    install -d -m 0700 "$ROOT/.deploying"
    [ -f "$ROOT/.deploying/release" ] && return
    local good
    good=$(current)
    if [ -f "$ROOT/trial" ]; then good=$(sed -n 2p "$ROOT/trial"); fi
    echo "$good" >"$ROOT/.deploying/release.new"
    sync "$ROOT/.deploying/release.new"
    mv -f "$ROOT/.deploying/release.new" "$ROOT/.deploying/release"
}

make_venv() { # NAME BUNDLE
    local target=$ROOT/venvs/$1 draft pip
    [ -d "$target" ] && return
    [ -d "$2/wheels" ] || fail "the environment $1 is missing, and so are its wheels"
    draft=$ROOT/venvs/.$1.new
    rm -rf "$draft"
    python3 -m venv --without-pip "$draft"
    pip=$(echo "$2"/wheels/pip-*.whl)
    "$draft/bin/python" "$pip/pip" --isolated --disable-pip-version-check install --quiet --no-index --no-deps \
        --require-hashes --no-warn-script-location --find-links "$2/wheels" --requirement "$2/requirements.lock"
    chmod -R go+rX "$draft"
    sync -f "$ROOT"
    mv -T "$draft" "$target"
    sync -f "$ROOT"
    say "environment $1 is installed"
}

make_release() { # VERSION IDENTITY VENV BUNDLE
    local target=$ROOT/releases/$1 draft=$ROOT/releases/.$1.new
    rm -rf "$ROOT"/releases/.*.new
    if [ "$(cat "$target/.identity" 2>/dev/null)" = "$2" ] && (cd "$target" && sha256sum --quiet --status -c SHA256SUMS); then
        return
    fi
    [ "$(current)" != "$1" ] || fail "the running release $1 is damaged: deploy another version, or roll back first"
    rm -rf "$target"
    cp -r "$4/release" "$draft"
    (cd "$draft" && sha256sum --quiet --status -c SHA256SUMS) || fail "release $1 did not arrive whole"
    echo "$2" >"$draft/.identity"
    ln -s "../../venvs/$3" "$draft/venv"
    # -p: the paths in tracebacks are those of the place where it is going to lie.
    python3 -m compileall -q -s "$draft" -p "$target" "$draft/agent" "$draft/hal" "$draft/board" >/dev/null || true
    chmod -R go+rX "$draft"
    sync -f "$ROOT"
    mv -T "$draft" "$target"
    sync -f "$ROOT"
    say "release $1 is unpacked"
}

# Puts a file in its place in one step; what it replaces is kept until the deploy has proved itself.
place_file() { # FROM TO MODE GROUP
    local kept
    cmp -s "$1" "$2" && return 1
    kept=$ROOT/.deploying/before$2
    if [ ! -e "$kept" ] && [ ! -e "$kept.absent" ]; then
        install -d -m 0700 "$(dirname "$kept")"
        if [ -e "$2" ]; then cp -p "$2" "$kept"; else touch "$kept.absent"; fi
    fi
    install -d -m 0755 "$(dirname "$2")"
    install -m "$3" -o root -g "$4" "$1" "$2.new"
    sync "$2.new"
    mv -fT "$2.new" "$2"
    say "$2 is written"
}

tell_system() { # WHO...
    local who
    for who in "$@"; do
        case $who in
            systemd) systemctl daemon-reload ;;
            udev) if command -v udevadm >/dev/null; then udevadm control --reload && udevadm trigger --subsystem-match=tty || true; fi ;;
            journald) systemctl try-restart systemd-journald.service || true ;;
        esac
    done
}

place_system_files() { # BUNDLE
    local name place wants told=''
    while IFS='|' read -r name place wants; do
        local mode=0644
        [ "$place" = "$COMMAND" ] && mode=0755
        if place_file "$1/$name" "$place" $mode root </dev/null; then told="$told $wants"; fi
    done <<<"$SYSTEM_FILES"
    # shellcheck disable=SC2086 # words on purpose
    tell_system $told
}

bring_back_files() {
    local kept place
    [ -d "$ROOT/.deploying/before" ] || return 0
    while IFS= read -r -d '' kept; do
        place=${kept#"$ROOT/.deploying/before"}
        case $place in
            *.absent) [ "${place%.absent}" = "$ETC/config.toml" ] || rm -f "${place%.absent}" ;;
            *) cp -p "$kept" "$place.new" && mv -fT "$place.new" "$place" ;;
        esac
    done < <(find "$ROOT/.deploying/before" -type f -print0)
    tell_system systemd udev journald
}

point() { # LINK VERSION: as the agent, whose links they are
    # shellcheck disable=SC2016 # for the inner shell
    as_agent sh -ec 'rm -f "$1/$2.new"; ln -s "releases/$3" "$1/$2.new"; mv -fT "$1/$2.new" "$1/$2"; sync -f "$1"' - "$ROOT" "$1" "$2"
}

mark() { # NAME LINES...: a whole file or none
    local name=$1
    shift
    # shellcheck disable=SC2016
    printf '%s\n' "$@" | as_agent sh -ec 'cat >"$1/$2.new"; sync "$1/$2.new"; mv -fT "$1/$2.new" "$1/$2"; sync -f "$1"' - "$ROOT" "$name"
}

copy_database() { # the same copy that an update over OCPP keeps; the older release takes it if it has to
    [ -f "$STATE/agent.db" ] || return 0
    as_agent "$(python_of "$1")" -c '
import os, sqlite3, sys
source, target = sys.argv[1] + "/agent.db", sys.argv[1] + "/agent.db.before-update"
draft = target + ".new"
if os.path.exists(draft):
    os.unlink(draft)
os.umask(0o077)
with sqlite3.connect(source) as one, sqlite3.connect(draft) as other:
    one.backup(other)
one.close(); other.close()
os.replace(draft, target)
' "$STATE"
    sync -f "$STATE"
}

drop_database_copy() { rm -f "$STATE/agent.db.before-update"; }

check_new() { # VERSION CONFIG: its code loads, and it can live with the configuration
    local complaint config
    complaint=$( (cd / && as_agent env PYTHONPATH="$ROOT/releases/$1" "$(python_of "$1")" -P -B -c 'import agent.app, agent.cli') 2>&1 >/dev/null) ||
        fail "release $1 cannot be loaded here: $(tail -n 1 <<<"$complaint"). Nothing was switched"
    config=$(mktemp /run/evse-agent-config.XXXXXX)
    install -m 0640 -o root -g "$USER_NAME" "$2" "$config"
    complaint=$(agent "$1" check-config "$config" 2>&1) || {
        rm -f "$config"
        fail "release $1 does not take the configuration; nothing was switched. ${complaint//$config/$2}"
    }
    rm -f "$config"
}

sweep() { # what neither runs nor ran before
    local folder name keep
    keep=" $(current) $(link_target "$ROOT/previous" || true) "
    for folder in "$ROOT"/releases/*; do
        name=$(basename "$folder")
        [[ $keep == *" $name "* ]] || rm -rf "$folder"
    done
    keep=" $(readlink -f "$ROOT/venv") $(for folder in "$ROOT"/releases/*; do readlink -f "$folder/venv" || true; done | tr '\n' ' ') "
    for folder in "$ROOT"/venvs/* "$ROOT"/venvs/.*.new; do
        [ -d "$folder" ] || continue
        [[ $keep == *" $folder "* ]] || rm -rf "$folder"
    done
    rm -rf "$ROOT"/releases/.*.new
}

finish() { # the new one has proved itself
    systemctl is-enabled --quiet $UNIT 2>/dev/null || systemctl enable --quiet $UNIT
    rm -f "$ROOT/trial" "$ROOT/failed"
    drop_database_copy
    rm -rf "$ROOT/.deploying"
    sweep
    sync -f "$ROOT"
}

go_back() { # FROM TO REASON
    echo "The release $1 does not work: $3" >&2
    journalctl -u $UNIT -n 15 --no-pager -o cat 2>/dev/null | sed 's/^/    | /' >&2 || true
    systemctl stop $UNIT 2>/dev/null || true
    systemctl reset-failed $UNIT 2>/dev/null || true
    bring_back_files
    if [ -z "$2" ] || [ ! -d "$ROOT/releases/$2" ]; then
        systemctl disable --quiet $UNIT 2>/dev/null || true
        rm -rf "$ROOT/.deploying"
        CODE=20 fail "there is no release to go back to; the agent is stopped. Mend the cause and deploy again"
    fi
    if [ "$1" != "$2" ]; then
        mark failed "$1" "$3"
        point current "$2"
    fi
    rm -f "$ROOT/trial"
    systemctl start $UNIT || true
    local verdict
    if verdict=$(wait_healthy "$2" offline 60); then
        rm -rf "$ROOT/.deploying"
        drop_database_copy
        CODE=20 fail "rolled back: release $2 runs again, as it was before ($verdict)"
    fi
    CODE=21 fail "rolled back to release $2, but that does not work either: $verdict. See: deploy.sh logs"
}

# switch VERSION online|offline SECONDS
switch() {
    local version=$1 before verdict
    before=$(cat "$ROOT/.deploying/release")
    systemctl stop $UNIT 2>/dev/null || true
    systemctl reset-failed $UNIT 2>/dev/null || true
    if [ "$(current)" != "$version" ]; then
        if [ -n "$before" ]; then
            copy_database "$before"
            mark trial "$version" "$before" 3
            point previous "$before"
        fi
        point current "$version"
    fi
    say "release $version starts"
    systemctl enable --quiet $UNIT
    if ! systemctl start $UNIT; then
        go_back "$version" "$before" "it does not start: $(systemctl show -p Result --value $UNIT)"
    fi
    if verdict=$(wait_healthy "$version" "$2" "$3"); then
        say "healthy: $verdict"
        finish
    else
        go_back "$version" "$before" "$verdict"
    fi
}

# install BUNDLE VERSION IDENTITY VENV online|offline SECONDS FORCE
install_release() {
    local bundle=$1 version=$2 identity=$3 venv=$4 mode=$5 seconds=$6 force=$7 config busy
    find /var/tmp -maxdepth 1 -name 'evse-agent-deploy.*' ! -path "$bundle" -exec rm -rf {} + # of runs that were cut
    make_user
    make_folders
    make_venv "$venv" "$bundle"
    make_release "$version" "$identity" "$venv" "$bundle"
    config=$bundle/config.toml
    [ -f "$config" ] || config=$ETC/config.toml
    [ -f "$config" ] || fail "there is no $ETC/config.toml, and none was given with --config"
    check_new "$version" "$config"
    busy=$(charging || true)
    if [ -n "$busy" ] && [ "$force" != yes ]; then
        CODE=7 fail "EVSE $busy charges: everything is prepared, nothing was switched. Deploy again when it is free, or with --while-charging"
    fi
    begin
    if ! cmp -s "$bundle/launch.sh" "$ROOT/launch"; then
        install -m 0755 "$bundle/launch.sh" "$ROOT/launch.new"
        mv -fT "$ROOT/launch.new" "$ROOT/launch"
    fi
    ln -sfnT "venvs/$venv" "$ROOT/venv.new"
    mv -fT "$ROOT/venv.new" "$ROOT/venv"
    if place_file "$config" "$ETC/config.toml" 0640 "$USER_NAME"; then make_folders; fi
    place_system_files "$bundle"
    switch "$version" "$mode" "$seconds"
}

# --- the other verbs -------------------------------------------------------------------------------------

roll_back() { # online|offline SECONDS FORCE
    local before busy
    before=$(link_target "$ROOT/previous" || true)
    if [ -z "$before" ] || [ ! -d "$ROOT/releases/$before" ] || [ "$before" = "$(current)" ]; then
        fail "there is no release before $(current)"
    fi
    busy=$(charging || true)
    if [ -n "$busy" ] && [ "$3" != yes ]; then
        CODE=7 fail "EVSE $busy charges: try again when it is free, or with --while-charging"
    fi
    begin
    switch "$before" "$1" "$2"
}

show_status() {
    systemctl --no-pager --lines=0 status $UNIT || true
    echo
    echo "Releases in $ROOT: $(names_in "$ROOT/releases")(runs: $(current), before: $(link_target "$ROOT/previous" || echo none))"
    [ ! -f "$ROOT/trial" ] || echo "On trial, starts left: $(sed -n 3p "$ROOT/trial"). Deploy again to finish"
    [ ! -f "$ROOT/failed" ] || echo "Rolled back: $(head -n 1 "$ROOT/failed"), $(sed -n 2p "$ROOT/failed")"
    echo
    agent "$(current)" status --config $ETC/config.toml
}

uninstall() { # PURGE
    local name place wants
    if [ -n "$(charging || true)" ] && [ "$2" != yes ]; then
        CODE=7 fail "somebody charges: try again when nobody does, or with --while-charging"
    fi
    systemctl disable --now --quiet $UNIT 2>/dev/null || true
    while IFS='|' read -r name place wants; do
        rm -f "$place"
    done <<<"$SYSTEM_FILES"
    tell_system systemd udev journald
    systemctl reset-failed $UNIT 2>/dev/null || true
    rm -rf "$ROOT"
    say "the agent is gone"
    if [ "$1" = yes ]; then
        rm -rf "$ETC" "$STATE"
        if id -u "$USER_NAME" >/dev/null 2>&1; then userdel "$USER_NAME"; fi
        say "configuration, state and user are gone, too"
    else
        say "$ETC and $STATE are kept (--purge removes them)"
    fi
}

# break_in PYTHON PORT: MicroPython's prompt, and whether it has what the firmware needs. Firmware that runs takes no
# Ctrl-C: it is restarted (it refuses with a car), and listens to one for its first two seconds.
break_in() {
    local restart='import asyncio, sys
from hal.commissioning import ask_board
asyncio.run(ask_board(sys.argv[1], 115200, "deploy", lambda board: board.reboot()))'
    for _ in 1 2 3; do
        "$1" -c "$restart" "$2" >/dev/null 2>&1 || true
        for _ in 1 2 3; do
            if "$1" -m mpremote connect "$2" exec 'import logging' >/dev/null 2>&1; then return; fi
            sleep 0.2
        done
    done
    return 1
}

# count_files TOTAL: a word now and then about the files that mpremote names; it takes a minute in all.
count_files() {
    local sent=0
    while IFS= read -r _; do
        sent=$((sent + 1))
        [ $((sent % 10)) -ne 0 ] || say "$((sent < $1 ? sent : $1)) of $1 files are on the board"
    done
}

# firmware BUNDLE VERSION FORCE: flash the I/O board when it says another version and no car is there.
firmware() {
    local port version=$2 python found cars pcb has_pcb
    [ "$(config_value hal driver)" = board ] || { say "no board in the configuration" && return; }
    port=$(config_value hal board port)
    [[ $port == /dev/* ]] || { say "the board at $port is not on a local port: not flashed" && return; }
    found=$(status_value board_firmware || true)
    pcb=$(wanted_pcb)
    has_pcb=$(board_pcb || true)
    if [ "$found" = "$version" ] && [ "${has_pcb:-$pcb}" = "$pcb" ]; then
        say "the board runs firmware $version"
        return
    fi
    cars=$(plugged || true)
    [ -z "$cars" ] || CODE=7 fail "the board runs firmware ${found:-unknown} for circuit ${has_pcb:-unknown}, not $version for $pcb; a car is at EVSE $cars: deploy again when it has left"
    if [ -z "$found" ] && [ "$3" != yes ]; then
        fail "the board at $port does not say which firmware it runs, so nobody knows whether a car is there. With nothing plugged in: deploy.sh firmware --new-board"
    fi
    python=$(python_of "$(current)")
    local tool=("$python" -m mpremote connect "$port")
    say "the board gets firmware $version for circuit $pcb (it runs ${found:-none} for ${has_pcb:-none})"
    echo "$pcb" >"$1/pcb.txt"
    systemctl stop $UNIT
    if ! break_in "$python" "$port"; then
        systemctl start $UNIT
        fail "the board at $port has no MicroPython with the module logging: see docs/board.md"
    fi
    # main.py last: with half of the files on it the board stays in its prompt, and outputs on their safe side.
    if "${tool[@]}" resume exec 'import os; "main.py" in os.listdir() and os.remove("main.py")' &&
        { "${tool[@]}" resume fs rm -r :board >/dev/null 2>&1 || true; } &&
        PYTHONUNBUFFERED=1 "${tool[@]}" resume fs cp -r "$1/board" : | count_files "$(find "$1/board" -type f | wc -l)" &&
        "${tool[@]}" resume fs cp "$1/pcb.txt" :pcb.txt >/dev/null &&
        "${tool[@]}" resume fs cp "$1/main.py" :main.py >/dev/null &&
        "${tool[@]}" resume reset; then
        systemctl start $UNIT
    else
        systemctl start $UNIT
        fail "the board at $port could not be written: run it again"
    fi
    local until=$((SECONDS + 30))
    while [ $SECONDS -lt $until ]; do
        if [ "$(status_value board_firmware || true)" = "$version" ]; then
            say "the board says HELLO with firmware $version"
            return
        fi
        sleep 1
    done
    fail "the board was written, and does not say HELLO with firmware $version within 30 s"
}

main() {
    local verb=$1
    shift
    case $verb in
        facts) facts ;;
        logs) journalctl -u $UNIT --no-pager "$@" ;;
        status) show_status ;;
        *)
            [ "$(id -u)" = 0 ] || fail "this needs root"
            exec 9>/run/evse-agent-deploy.lock
            flock -n 9 || fail "somebody else deploys to this charger right now"
            case $verb in
                install) install_release "$@" ;;
                rollback) roll_back "$@" ;;
                uninstall) uninstall "$@" ;;
                firmware) firmware "$@" ;;
                *) fail "unknown verb $verb" ;;
            esac
            ;;
    esac
}

main "$@" </dev/null
exit
