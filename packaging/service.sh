#!/usr/bin/env bash
# Fills the systemd unit for this installation: `print` shows it, `install` installs and enables it, `remove` undoes that.
# As root it is a service of the machine, run by a user of its own; else it is a service of the calling user.
set -euo pipefail
cd "$(dirname "$0")/.."

NAME=sdrest
ACTION=${1:-print}
PYTHON=${SDREST_PYTHON:-$PWD/.venv/bin/python}
if [ "$(id -u)" = 0 ]; then
    STATE=${SDREST_STATE:-/var/lib/$NAME} CONFIG=${SDREST_CONFIG:-/etc/$NAME/config.toml}
    UNITS=/etc/systemd/system TARGET=multi-user.target USER_LINE="User=$NAME" PROTECT_HOME=read-only SYSTEMCTL="systemctl"
else
    STATE=${SDREST_STATE:-${XDG_DATA_HOME:-$HOME/.local/share}/$NAME} CONFIG=${SDREST_CONFIG:-${XDG_CONFIG_HOME:-$HOME/.config}/$NAME/config.toml}
    UNITS=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user TARGET=default.target USER_LINE="" PROTECT_HOME=no SYSTEMCTL="systemctl --user"
fi
UNIT=$UNITS/$NAME.service

fill() {
    local text
    text=$(cat packaging/sdrest.service.template)
    text=${text//@PYTHON@/$PYTHON}
    text=${text//@CONFIG@/$CONFIG}
    text=${text//@STATE@/$STATE}
    text=${text//@TARGET@/$TARGET}
    text=${text//@PROTECT_HOME@/$PROTECT_HOME}
    printf '%s\n' "${text//@USER_LINE@/$USER_LINE}"
}

case $ACTION in
    print) fill ;;
    install)
        command -v systemctl >/dev/null || { echo "service.sh: systemd was not found" >&2; exit 1; }
        mkdir -p "$STATE/models" "$UNITS" "$(dirname "$CONFIG")"
        [ -e "$CONFIG" ] || printf 'host = "127.0.0.1"\nport = 8080\nmodels_dir = "%s/models"\ndata_dir = "%s/data"\n' "$STATE" "$STATE" >"$CONFIG"
        if [ "$(id -u)" = 0 ]; then
            id "$NAME" >/dev/null 2>&1 || useradd --system --home-dir "$STATE" --shell /usr/sbin/nologin "$NAME"
            chown -R "$NAME:" "$STATE"
        fi
        fill >"$UNIT"
        $SYSTEMCTL daemon-reload
        $SYSTEMCTL enable --now "$NAME.service"
        echo "the service $NAME runs; its settings are in $CONFIG"
        ;;
    remove)
        [ -e "$UNIT" ] || exit 0
        $SYSTEMCTL disable --now "$NAME.service" || true
        rm -f "$UNIT"
        $SYSTEMCTL daemon-reload
        echo "the service $NAME has been removed; $STATE and $CONFIG stay"
        ;;
    *) echo "usage: packaging/service.sh print|install|remove" >&2; exit 2 ;;
esac
