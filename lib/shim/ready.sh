# Tells the service manager that the server takes calls; NOTIFY_SOCKET says where it listens.
systemd-notify --ready
