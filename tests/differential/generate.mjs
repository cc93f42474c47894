// SPDX-License-Identifier: MIT

// Requests for the differential test: a grammar of valid ones, single ones that matter, and
// mutations. The same seed gives the same requests.

/** A small generator of numbers (mulberry32): Math.random() has no seed. */
function makeRandom(seed) {
    let state = seed >>> 0;
    return (below) => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
    };
}

const HOST = 'Host: localhost\r\n';
const CHUNKED = 'Transfer-Encoding: chunked\r\n';

/** One for each rule that has a name of its own; Latin-1, one character for each byte. */
export const SINGLES = [
    `GET / HTTP/1.1\r\n${HOST}\r\n`,
    `GET / HTTP/1.0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 5, 5\r\n\r\nhello`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: +5\r\n\r\nhello`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\nhello`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x5\r\n\r\nhello`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 5 \r\n\r\nhello`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length:\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n1\r\na\r\n0\r\nX: y\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n1;a=b\r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n1;\r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n1 ;a\r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n1 \r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n 1\r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n+1\r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n0x1\r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n1_0\r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n1\na\n0\n\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n1\r\naXX0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n10000000000000001\r\na\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}\r\n0\r\nContent-Length: 1\r\n\r\n`,
    `GET / HTTP/1.1\n${HOST}\r\n`,
    `GET / HTTP/1.1\r\nHost: localhost\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}\n`,
    `GET / HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}X : a\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}: a\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}X\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}X(): a\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}X: a\x01b\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}X: a\x7fb\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}X: \xe4\r\n\r\n`,
    `GET / HTTP/1.1\r\n X: a\r\n${HOST}\r\n`,
    `GET / HTTP/1.1\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`,
    `GET / HTTP/1.1\r\nHost:\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a b\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: [\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: user@localhost\r\n\r\n`,
    `GET http://localhost/a HTTP/1.1\r\n${HOST}\r\n`,
    `GET http://other/a HTTP/1.1\r\n${HOST}\r\n`,
    `GET ftp://localhost/a HTTP/1.1\r\n${HOST}\r\n`,
    `GET /\xe4 HTTP/1.1\r\n${HOST}\r\n`,
    `GET /a#b HTTP/1.1\r\n${HOST}\r\n`,
    `GET /a%zz HTTP/1.1\r\n${HOST}\r\n`,
    `GET /a%00 HTTP/1.1\r\n${HOST}\r\n`,
    `GET /../a HTTP/1.1\r\n${HOST}\r\n`,
    `GET /a b HTTP/1.1\r\n${HOST}\r\n`,
    `GET  / HTTP/1.1\r\n${HOST}\r\n`,
    `GET /  HTTP/1.1\r\n${HOST}\r\n`,
    `GET\t/ HTTP/1.1\r\n${HOST}\r\n`,
    `GET / HTTP/1.1 \r\n${HOST}\r\n`,
    `GET /\r\n\r\n`,
    `GET * HTTP/1.1\r\n${HOST}\r\n`,
    `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`,
    `CONNECT localhost:1 HTTP/1.1\r\n${HOST}\r\n`,
    `BREW / HTTP/1.1\r\n${HOST}\r\n`,
    `get / HTTP/1.1\r\n${HOST}\r\n`,
    `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
    `GET / HTTP/2.0\r\n${HOST}\r\n`,
    `GET / HTTP/1.2\r\n${HOST}\r\n`,
    `GET / HTTP/0.9\r\n${HOST}\r\n`,
    `GET / HTTP/1.10\r\n${HOST}\r\n`,
    `GET / http/1.1\r\n${HOST}\r\n`,
    `GET / ICE/1.0\r\n${HOST}\r\n`,
    `\r\nGET / HTTP/1.1\r\n${HOST}\r\n`,
    `\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`,
    `\nGET / HTTP/1.1\r\n${HOST}\r\n`,
    ` GET / HTTP/1.1\r\n${HOST}\r\n`,
    `POST / HTTP/1.0\r\n${HOST}\r\nhello`,
    `POST / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 1\r\n\r\na`,
    `POST / HTTP/1.1\r\n${HOST}Expect: something\r\nContent-Length: 1\r\n\r\na`,
    `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\nGET /b HTTP/1.1\r\n${HOST}\r\n`,
    `GET /a HTTP/1.1\r\n${HOST}\r\nGET /b HTTP/1.1\r\n${HOST}\r\n`,
    `GET / HTTP/1.1\r\n${HOST}${CHUNKED}${CHUNKED}\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n`,
    `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(20000)}\r\n\r\n`,
    `GET /${'a'.repeat(9000)} HTTP/1.1\r\n${HOST}\r\n`,
    `GET / HTTP/1.1\r\n${HOST}${'X: a\r\n'.repeat(150)}\r\n`,
];

function pick(random, list) {
    return list[random(list.length)];
}

function word(random) {
    let text = '';
    for (let i = random(6) + 1; i > 0; --i) {
        text += String.fromCharCode(97 + random(26));
    }
    return text;
}

function field(random) {
    const value = pick(random, [
        word(random), `${word(random)} ${word(random)}`, '', `"${word(random)}"`,
        `${word(random)}, ${word(random)}`, `  ${word(random)}\t`, 'a=b; c=d', '\xe4\xff', '*/*',
    ]);
    return `${pick(random, ['X-', 'Accept-', '', 'x_', "!#$%&'*+.^`|~"])}${word(random)}`
        + `:${pick(random, [' ', '', '  ', '\t'])}${value}\r\n`;
}

function content(random) {
    const body = word(random).repeat(random(4));
    switch (random(4)) {
    case 0:
        return [`Content-Length: ${body.length}\r\n`, body];
    case 1: {
        let chunks = '';
        for (let i = random(3); i > 0; --i) {
            const piece = word(random);
            const size = pick(random, ['', '0', '000']) + piece.length.toString(16);
            const extension = pick(random, ['', '', ';a', ';a=b', ';a="b c"', '; a = b']);
            chunks += `${size}${extension}\r\n${piece}\r\n`;
        }
        const trailer = pick(random, ['', '', 'X-Sum: 1\r\n', 'A:\r\nB: c\r\n']);
        return ['Transfer-Encoding: chunked\r\n', `${chunks}0\r\n${trailer}\r\n`];
    }
    default:
        return ['', ''];
    }
}

function valid(random) {
    const method = pick(random, ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH',
        'PROPFIND', 'SEARCH', 'REPORT']);
    const path = pick(random, ['/', `/${word(random)}`, `/${word(random)}/%41%2f?a=b&c`, '/?',
        '//a', `http://localhost/${word(random)}`, `/${word(random)}?q=${word(random)}`,
        "/!$&'()*+,;=:@~"]);
    const [framing, body] = content(random);
    const lines = [HOST, framing];
    for (let i = random(4); i > 0; --i) {
        lines.push(field(random));
    }
    if (random(8) === 0) {
        lines.push(`Connection: ${pick(random, ['close', 'keep-alive', 'Close, x', 'foo'])}\r\n`);
    }
    const first = random(lines.length);
    const turned = [...lines.slice(first), ...lines.slice(0, first)].join('');
    return `${method} ${path} HTTP/1.${random(10) === 0 ? 0 : 1}\r\n${turned}\r\n${body}`;
}

const PIECES = ['\r\n', '\n', '\r', '\0', ' ', '\t', ':', ',', ';', '\r\n ', '\r\n\r\n',
    '\x7f', '\xff', '\x0b', '\x85', '0', '-', '+', '"', '%', '#', '?', '\\', '(',
    'Content-Length: 1\r\n', CHUNKED, 'Host: b\r\n', 'chunked', 'HTTP/1.1',
    'Connection: close\r\n'];

function mutate(random, text) {
    const at = random(text.length + 1);
    const size = random(4) === 0 ? random(8) + 1 : 1;
    switch (random(5)) {
    case 0:
        return text.slice(0, at) + pick(random, PIECES) + text.slice(at);
    case 1:
        return text.slice(0, at) + text.slice(at + size);
    case 2:
        return text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1);
    case 3:
        return text.slice(0, at) + text.slice(at, at + size * 4) + text.slice(at);
    default: { // in the lines rather than in the words
        const ends = [...text.matchAll(/\r\n|: |HTTP/g)].map((match) => match.index);
        const end = ends.length > 0 ? pick(random, ends) : 0;
        return text.slice(0, end) + pick(random, PIECES) + text.slice(end + random(3));
    }
    }
}

export function generate(seed, count) {
    const random = makeRandom(seed);
    const texts = [...SINGLES];
    while (texts.length < count) {
        let text = valid(random);
        const kind = random(4);
        if (kind === 0 && random(2) === 0) {
            text += valid(random);
        }
        for (let i = kind === 0 ? 0 : random(kind) + 1; i > 0; --i) {
            text = mutate(random, random(6) === 0 ? pick(random, SINGLES) : text);
        }
        texts.push(text);
    }
    return texts;
}
