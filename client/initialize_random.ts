/**
 * Imported first, for its effect: it initializes the TLS library's random number generator, which
 * takes 25 ms to gather entropy from the jitter of the processor's clock. Started here, this happens in
 * another thread while this one loads the program, and saves a quarter of the time of a short call.
 */
crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt"]).catch(() => {
  // The handshake tries again, and reports a failure.
});
