/** Users by a map: whose name a job of a client runs as. Pure. */

/**
 * Stands for the user whom the server's user map gives a client, in requests, until it is looked up there. It
 * cannot be the name of a user.
 */
export const MAPPED_USER = "%mapped";
