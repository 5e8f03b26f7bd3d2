# Tells what running jobs as another user and apart from others takes: `user LINE` of passwd(5) for the
# user $1, if there is one, and `missing PROGRAM` for what the host lacks.
entry=$(getent passwd -- "$1") && echo "user $entry"
for program in getent setpriv unshare mount; do
  command -v "$program" >/dev/null || echo "missing $program"
done
:
