/**
 * The relay (TURN server) of a call: whether there is one, whether sound and
 * picture go through it, and why it was of no use.
 */

/**
 * Why there is no way through a relay: there is none (`no-relay`), it did not
 * take our credentials, it has no room, or no answer came.
 *
 * @typedef {'no-relay' | 'relay-refused' | 'relay-full' | 'relay-unreachable'} RelayTrouble
 */

/** The one that says most comes first.  Even a relay that is full asks for
 * credentials before it says so, and browsers tell of that as an error.
 * @type {RelayTrouble[]} */
export const RELAY_TROUBLES = ['relay-full', 'relay-refused', 'relay-unreachable', 'no-relay'];

/* RFC 8656, section 19.  All other codes, and the browser's own from 600 on,
 * mean that we got no answer, or none to make use of. */
/** @type {Record<number, RelayTrouble>} */
const ERRORS = {
  401: 'relay-refused',
  403: 'relay-refused',
  441: 'relay-refused',
  486: 'relay-full',
  508: 'relay-full',
};

const RELAY_URL = /^turns?:/i;

/** @param {RTCIceServer[]} iceServers */
export function hasRelay(iceServers) {
  return iceServers.some(({ urls }) => [urls].flat().some((url) => RELAY_URL.test(url)));
}

/**
 * Whether what a connection carries goes through a relay, this side's or the
 * other's; undefined while there is no way yet.
 *
 * @param {RTCPeerConnection} pc
 * @returns {Promise<boolean | undefined>}
 */
export async function isRelayed(pc) {
  const stats = await pc.getStats();
  const pair = selectedPair(stats);
  return pair && [pair.localCandidateId, pair.remoteCandidateId].some(
    (id) => stats.get(id)?.candidateType === 'relay');
}

/** @param {any} stats */
function selectedPair(stats) {
  for (const report of stats.values()) {
    if (report.type === 'transport' && stats.has(report.selectedCandidatePairId)) {
      return stats.get(report.selectedCandidatePairId);
    }
    /* Firefox's own way, instead of that. */
    if (report.type === 'candidate-pair' && report.selected) {
      return report;
    }
  }
  return undefined;
}

/** Watches a connection look for its candidates. */
export class Gathering extends EventTarget {
  #found = 0;
  #relay = false;
  /** @type {Set<RelayTrouble>} */
  #errors = new Set();
  #pc;

  /**
   * Event `vain`: it is over, and there is none.
   *
   * @param {RTCPeerConnection} pc
   */
  constructor(pc) {
    super();
    this.#pc = pc;
    pc.addEventListener('icecandidate', ({ candidate }) => this.#find(candidate));
    pc.addEventListener('icecandidateerror', ({ url, errorCode }) => {
      if (RELAY_URL.test(url ?? '')) {
        this.#errors.add(ERRORS[errorCode] ?? 'relay-unreachable');
      }
    });
    pc.addEventListener('icegatheringstatechange', () => this.#watch());
  }

  /** It begins again. */
  begin() {
    this.#found = 0;
    this.#relay = false;
    this.#errors.clear();
  }

  /** What keeps us from a relay; nothing where one transport of it works.
   * @returns {RelayTrouble | undefined} */
  get trouble() {
    if (!hasRelay(this.#pc.getConfiguration().iceServers ?? [])) {
      return 'no-relay';
    }
    if (this.#relay) {
      return undefined;
    }
    const silent = this.#pc.iceGatheringState === 'complete' ? undefined : 'relay-unreachable';
    return RELAY_TROUBLES.find((trouble) => this.#errors.has(trouble)) ?? silent;
  }

  /** @param {RTCIceCandidate | null} candidate */
  #find(candidate) {
    /* The empty one ends those of a media section. */
    if (candidate?.candidate) {
      this.#found += 1;
      this.#relay ||= candidate.type === 'relay';
    }
  }

  #watch() {
    if (this.#pc.iceGatheringState === 'complete' && this.#found === 0) {
      this.dispatchEvent(new CustomEvent('vain'));
    }
  }
}
