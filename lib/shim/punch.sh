# Frees the disk blocks at the start of files; every byte keeps its offset. Takes pairs of LENGTH FILE.
# Prints each file for which that failed.
set -f
own_program fallocate || program=fallocate
while [ "$#" -ge 2 ]; do
  "$program" --punch-hole --keep-size --offset 0 --length "$1" "$2" || echo "$2"
  shift 2
done 2>/dev/null
:
