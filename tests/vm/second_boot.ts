/** Tests of the boot after the power cut, with systemd as the guest's init. */
import "./power_cut_test.ts";
import "./systemd_test.ts";
