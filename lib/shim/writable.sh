# Prints why the folder $1 cannot be written to; nothing where it can be, or is not there yet. It makes
# and removes a folder, since no link that somebody has put there can lead that elsewhere.
[ -d "$1" ] || exit 0
reason=$(mkdir -- "$1/.disk-test-$$" 2>&1) || {
  printf '%s\n' "${reason##*: }"
  exit 0
}
rmdir -- "$1/.disk-test-$$"
