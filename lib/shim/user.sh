# Checks what jobs need that run as another user or isolated: prints `user LINE` of passwd(5) for the
# user $1, if that exists, and `missing PROGRAM` for each program that the host lacks.
user=$1
own_program getent && entry=$("$program" passwd -- "$user") && echo "user $entry"
for name in getent setpriv timeout unshare mount; do
  case $name in
    getent | setpriv) own_program "$name" || echo "missing $problem" ;;
    *) command -v "$name" >/dev/null || echo "missing $name" ;;
  esac
done
:
