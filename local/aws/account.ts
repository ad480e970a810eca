/** Whose local cloud it is: the one account and the one region that every AWS endpoint here answers for. */

export const ACCOUNT = '000000000000';
export const REGION = 'us-east-1';
