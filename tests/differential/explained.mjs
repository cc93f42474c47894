// SPDX-License-Identifier: MIT

// Why Porthole and Node disagree: one line for each class of inputs, with who is stricter and where
// the rule comes from. A line explains a disagreement only if the laxer of the two has read what
// both accept in the same way: two readings of one request are never explained.

import http from 'node:http';

/** All that `shorter` saw, `longer` saw too, the same. */
function isPrefix(shorter, longer) {
    return shorter.length <= longer.length
        && JSON.stringify(shorter) === JSON.stringify(longer.slice(0, shorter.length));
}

/** Porthole refuses, with that sentence, what Node reads, or has not refused yet. */
function porthole(name, sentence, source, why) {
    return {
        class: name, stricter: 'Porthole', source, why,
        explains: ({ ours, theirs }) => sentence.test(ours.refusal)
            && isPrefix(ours.requests, theirs.requests)
            && (theirs.requests.length > ours.requests.length || theirs.refusal === ''),
    };
}

/** Node refuses, with that code, what Porthole reads, or has not refused yet. */
function node(name, code, source, why, alsoHolds) {
    return {
        class: name, stricter: 'Node', source, why,
        explains: (each) => code.test(each.theirs.refusal)
            && isPrefix(each.theirs.requests, each.ours.requests) && alsoHolds(each),
    };
}

const isKnownMethod = (request) => http.METHODS.includes(request.method);

export const EXPLAINED = [
    porthole('Host with forbidden bytes, a bad port, or empty',
        /^The Host field (is not a host|has an '@')/, 'RFC 9112 3.2, RFC 3986 3.2.2',
        'Node hands any value on; the guard is only as good as its reading of Host.'),
    porthole('several Host fields', /^There is more than one Host/, 'RFC 9112 3.2',
        'A server MUST answer 400; Node keeps the first.'),
    porthole('target of absolute form and Host name different hosts',
        /^The request target and Host name different/, 'RFC 9112 3.2.2',
        'The target wins by the RFC, but what stands in between may have looked at Host.'),
    porthole('target with a fragment, a bad %, a %00, a climb above the root, a foreign scheme, or '
        + 'an asterisk without OPTIONS', /^The request target is malformed/, 'RFC 9112 3.2',
        'Node hands the target on as it is.'),
    porthole('request line with more than single spaces, or without a version',
        /^The request line is not a method/, 'RFC 9112 3',
        'Node skips spaces and takes HTTP/0.9; a recipient MAY be that lenient, and need not.'),
    porthole('HTTP/2.0 and 0.9 as a version', /^Only HTTP\/1\.1 and HTTP\/1\.0/, 'RFC 9110 15.6.6',
        'Node reads them as if they were HTTP/1.1.'),
    porthole('Transfer-Encoding in HTTP/1.0', /^HTTP\/1\.0 has no Transfer-Encoding/,
        'RFC 9112 6.1', 'The framing is faulty; Node decodes the chunks.'),
    porthole('content in HTTP/1.0 without a length', /^Content in HTTP\/1\.0 needs/,
        'RFC 1945 7.2.2', 'A POST without Content-Length was cut off; Node takes it as empty.'),
    porthole('a coding other than chunked', /^Transfer-Encoding names a coding/, 'RFC 9112 6.1',
        '501; Node leaves the coding to its user.'),
    porthole('a list of codings with an empty element, or chunked twice',
        /^Transfer-Encoding has to be chunked/, 'RFC 9112 6.1, 7',
        'Node looks at the end of the last line only.'),
    porthole('LF alone between requests', /^A line ends with LF alone/, 'RFC 9112 2.2',
        'Node skips CR and LF in any order and number before a request line.'),
    porthole('request line beyond Limits::max_request_line_bytes', /^The request line is too long/,
        'RFC 9112 3', 'Node has 16 KiB for the whole head.'),
    porthole('more fields than Limits::max_fields', /^There are too many field lines/,
        'RFC 9110 5.4', 'Node cuts its list at 2000.'),

    node('a method that llhttp does not know', /^HPE_INVALID_METHOD/, 'RFC 9110 9.1',
        'Any token is a method: Porthole reads it, and routes it or answers 501.',
        ({ ours, theirs, finished }) => {
            const seen = ours.requests.length > theirs.requests.length ? ours : finished;
            const next = seen.requests[theirs.requests.length];
            return next !== undefined && !isKnownMethod(next);
        }),
    node('blanks around ; and = of a chunk extension', /chunk (extensions|size)/, 'RFC 9112 7.1.1',
        'BWS is allowed there and MUST be accepted; llhttp refuses it.',
        ({ text }) => /\n[0-9a-fA-F]+(?=[^\r\n]*[ \t])[ \t]*;/.test(text)),
    node('a tab behind Content-Length', /^HPE_INVALID_CONTENT_LENGTH/, 'RFC 9110 5.5',
        'OWS is no part of the value; llhttp takes spaces only.',
        ({ text }) => /content-length:[ \t]*\d+[ ]*\t/i.test(text)),
    node('bytes behind a request that closes', /^HPE_CLOSED_CONNECTION/, 'RFC 9112 9.6',
        'Porthole answers, closes, and never looks at them; Node calls them an error.',
        ({ ours, theirs }) => ours.requests.length === theirs.requests.length),
    node('a fault in a line that is not finished', /^HPE_/, 'RFC 9112 2.2',
        'Porthole judges a line, and a head, when it is whole: with its end it is refused too.',
        ({ ours, theirs, finished }) => ours.refusal === ''
            && ours.requests.length === theirs.requests.length
            && finished.requests.length === ours.requests.length && finished.refusal !== ''),
];
