/** Ends the process after so long, if anything still keeps it; it ends by itself otherwise. */
export const exitSoon = (ms: number): void => void setTimeout(() => process.exit(), ms).unref();
