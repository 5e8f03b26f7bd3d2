# Looks up the group $2, a name or a gid, for the user $1: prints `group LINE` of group(5), if that exists, and
# `member GID...` of all groups that the user is in, if there is such a user. `missing PROGRAM` where the host
# cannot be asked.
if own_program getent; then
  entry=$("$program" group -- "$2") && echo "group $entry"
  gids=$(id -G -- "$1") && echo "member $gids"
else
  echo "missing $problem"
fi 2>/dev/null
:
