# Prints what systemd gives the unit $1: `LoadState=…`, `Environment=…` and `EnvironmentFiles=…`. Nothing
# where systemd does not run.
systemctl show --property=LoadState,Environment,EnvironmentFiles -- "$1" 2>/dev/null
:
