/**
 * Imported first, for its effect. The TLS library's random numbers cost 25 ms before the first one: it
 * looks for chance in the jitter of the processor's clock. Asked for here, they get ready in another
 * thread while this one loads the program; that was a quarter of a short call's time.
 */
crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt"]).catch(() => {
  // The handshake will ask again, and its failure is told.
});
