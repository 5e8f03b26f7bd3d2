/** Tests of the second boot, of the same disk. */
import "./reboot_after_test.ts";
