# Part of the launchers: sets $record, the last lines of the launch record. $counters has NAME FILE of what
# is counted, a line each; IFS is a newline.

set_record() { # STATUS
  record="exit $1$newline"
  for counter in $counters; do
    record=${record}counter\ ${counter%% *}$newline
    while read -r line; do
      record=$record$line$newline
    done <"${counter#* }"
  done
  record=${record}end
}
