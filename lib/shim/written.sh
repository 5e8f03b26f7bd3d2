# Prints what is appended to the file $1 from now on, as it is written, until nobody reads that or the
# server has ended; and first the last byte that was there, if any, which says that it has begun.
LC_ALL=C exec tail --follow=descriptor --bytes=1 --sleep-interval=10 --pid="$PPID" -- "$1"
