# Tells the service manager that the server is ready; NOTIFY_SOCKET is the manager's socket.
systemd-notify --ready
