// SPDX-License-Identifier: Apache-2.0
// The errors, by what a program does about them.
"use strict";

class LeaseholdError extends Error {
  constructor(failure) {
    super(failure.message);
    this.code = failure.code; // the outcome, such as "busy"
    this.reason = failure.reason; // why, such as "timeout"; "" if there is no finer reason
    this.serverCode = failure.serverCode;
    this.leaseId = failure.leaseId; // of the lease in doubt, or ""
  }
  get name() {
    return this.constructor.name;
  }
}

/** Another holder has the key. */
class BusyError extends LeaseholdError {
  constructor(failure) {
    super(failure);
    this.record = failure.record;
    this.holder = failure.holder ?? failure.record?.holders[0];
    this.retryAfter = failure.retryAfter ?? 0;
  }
}

/** The wait is over, and another holder still has the key. */
class LockTimeoutError extends BusyError {}

/** The lease has ended, or was never this caller's. */
class LeaseLostError extends LeaseholdError {}

/** No server responds, or no server responds in time. */
class UnreachableError extends LeaseholdError {}

/** The server may or may not have done it; rely on neither. */
class UnknownError extends LeaseholdError {}

/** The credentials are wrong or lack a privilege. */
class DeniedError extends LeaseholdError {}

/** The deployment or the collection is not fit for leases. */
class ConfigError extends LeaseholdError {}

const kinds = {
  busy: BusyError,
  lost: LeaseLostError,
  unreachable: UnreachableError,
  unknown: UnknownError,
  denied: DeniedError,
  config: ConfigError,
};

/** The error for what the addon reports. */
function errorOf(failure) {
  if (failure instanceof Error) return failure;
  const Kind = failure.reason === "timeout" ? LockTimeoutError : kinds[failure.code];
  return new (Kind ?? LeaseholdError)(failure);
}

/** Why the signal of a lease is aborted. */
function lostError(lease) {
  const message = `the lease on ${lease.key} ended before its release`;
  return errorOf({ code: "lost", reason: "ended", message, leaseId: lease.id, serverCode: 0 });
}

module.exports = {
  BusyError, ConfigError, DeniedError, LeaseLostError, LeaseholdError, LockTimeoutError,
  UnknownError, UnreachableError, errorOf, lostError,
};
