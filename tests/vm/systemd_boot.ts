/** The boot with systemd as the guest's init. */
import "./systemd_test.ts";
