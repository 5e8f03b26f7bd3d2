# Checks what jobs need that run as another user or isolated: prints `user LINE` of passwd(5) for the
# user $1, if that exists, and `missing PROGRAM` for each program that the host lacks.
entry=$(getent passwd -- "$1") && echo "user $entry"
for program in getent setpriv timeout unshare mount; do
  command -v "$program" >/dev/null || echo "missing $program"
done
:
