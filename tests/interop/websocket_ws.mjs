// SPDX-License-Identifier: MIT

// The npm package ws as a client of the echo server.
//
//     node websocket_ws.mjs PORT DIRECTORY compressed|plain
//
// DIRECTORY holds node_modules. "compressed": the server has been built with zlib.

import { randomFillSync } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';

const [port, directory, mode] = process.argv.slice(2);
const WebSocket = createRequire(path.join(directory, 'ws.js'))('ws');
const base = `ws://localhost:${port}`;
const canDeflate = mode === 'compressed';
const PATIENCE_MS = 20_000;
const SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20, 16 << 20];

let passed = 0;
let failed = 0;

async function check(name, run) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('too late')), PATIENCE_MS);
    });
    try {
        await Promise.race([run(), late]);
        ++passed;
        console.log(`ok ws: ${name}`);
    } catch (error) {
        ++failed;
        console.log(`FAIL ws: ${name}: ${error.message}`);
    } finally {
        clearTimeout(timer);
    }
}

function must(holds, what) {
    if (!holds) {
        throw new Error(what);
    }
}

/** An open connection whose messages wait in a queue. */
async function open(target, protocols = [], options = {}) {
    const socket = new WebSocket(base + target, protocols,
        { perMessageDeflate: false, ...options });
    const queue = [];
    const waiting = [];
    socket.on('message', (data, isBinary) => {
        const message = { data, isBinary };
        const waiter = waiting.shift();
        if (waiter) {
            waiter(message);
        } else {
            queue.push(message);
        }
    });
    socket.next = () => (queue.length > 0 ? Promise.resolve(queue.shift())
        : new Promise((resolve) => waiting.push(resolve)));
    socket.ended = new Promise((resolve) => {
        socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    await new Promise((resolve, reject) => {
        socket.once('open', resolve);
        socket.once('error', reject);
    });
    socket.on('error', () => {});
    return socket;
}

async function end(socket, code = 1000, reason = '') {
    socket.close(code, reason);
    const closed = await socket.ended;
    must(closed.code === code, `closed with ${closed.code}`);
}

/** Letters and noise by turns: something compresses, something does not. */
function content(size, isText) {
    const bytes = Buffer.alloc(size, 'The quick brown fox. ');
    if (!isText) {
        randomFillSync(bytes, 0, size >> 1);
    }
    return bytes;
}

async function echoes(socket, size) {
    for (const isText of [true, false]) {
        const bytes = content(size, isText);
        socket.send(bytes, { binary: !isText });
        const { data, isBinary } = await socket.next();
        must(isBinary === !isText, 'the type has changed');
        must(Buffer.compare(data, bytes) === 0, `${size} bytes came back as ${data.length}`);
    }
}

const kinds = [['plain', '/', false]];
if (canDeflate) {
    kinds.push(['compressed', '/', true],
        ['compressed, no context', '/',
            { serverNoContextTakeover: true, clientNoContextTakeover: true }],
        ['compressed, window of 9 bits', '/',
            { serverMaxWindowBits: 9, clientMaxWindowBits: 9 }],
        ['compressed from the first byte on', '/', { threshold: 0 }]);
}
for (const [kind, target, perMessageDeflate] of kinds) {
    for (const size of SIZES) {
        await check(`${kind}: echo of ${size} bytes`, async () => {
            const socket = await open(target, [], { perMessageDeflate });
            must((socket.extensions !== '') === Boolean(perMessageDeflate),
                `extensions "${socket.extensions}"`);
            await echoes(socket, size);
            await end(socket);
        });
    }
    await check(`${kind}: a hundred messages of growing size`, async () => {
        const socket = await open(target, [], { perMessageDeflate });
        for (let size = 1; size < 200_000; size = Math.ceil(size * 1.15)) {
            await echoes(socket, size);
        }
        await end(socket);
    });
    await check(`${kind}: messages without waiting keep their order`, async () => {
        const socket = await open(target, [], { perMessageDeflate });
        for (let i = 0; i < 1000; ++i) {
            socket.send(`message ${i} ${'x'.repeat(i)}`);
        }
        for (let i = 0; i < 1000; ++i) {
            const { data } = await socket.next();
            must(data.toString() === `message ${i} ${'x'.repeat(i)}`, `message ${i}`);
        }
        await end(socket);
    });
    await check(`${kind}: fragments`, async () => {
        const socket = await open(target, [], { perMessageDeflate });
        const pieces = ['one ', 'two ', '', 'thrée'];
        pieces.forEach((piece, i) => socket.send(piece, { fin: i === pieces.length - 1 }));
        const { data, isBinary } = await socket.next();
        must(data.toString() === pieces.join('') && !isBinary, data.toString());
        await end(socket);
    });
}

await check('compression is not taken where it is switched off', async () => {
    const socket = await open('/plain', [], { perMessageDeflate: true });
    must(socket.extensions === '', socket.extensions);
    await echoes(socket, 1000);
    await end(socket);
});
await check('pings are answered', async () => {
    const socket = await open('/');
    for (const payload of ['', 'ping', 'p'.repeat(125)]) {
        const pong = new Promise((resolve) => socket.once('pong', resolve));
        socket.ping(payload);
        must((await pong).toString() === payload, 'another payload');
    }
    await end(socket);
});
for (const [wanted, chosen] of [[[], ''], [['echo'], 'echo'], [['chat', 'mirror'], 'mirror'],
    [['mirror', 'echo'], 'echo']]) {
    await check(`subprotocols ${JSON.stringify(wanted)}`, async () => {
        const socket = await open('/', wanted);
        must(socket.protocol === chosen, `"${socket.protocol}"`);
        await end(socket);
    });
}
const endings = [[1000, ''], [1001, 'leaving'], [3000, 'Grüße'], [4999, 'r'.repeat(123)]];
for (const [code, reason] of endings) {
    await check(`the client closes with ${code}`, async () => {
        await end(await open('/'), code, reason);
    });
    await check(`the server closes with ${code}`, async () => {
        const socket = await open('/close');
        socket.send(`${code} ${reason}`);
        const closed = await socket.ended;
        must(closed.code === code && closed.reason === reason, JSON.stringify(closed));
    });
}
await check('the client closes without a code', async () => {
    const socket = await open('/');
    socket.close();
    must((await socket.ended).code === 1005, 'another code');
});
await check('a message past the limit is closed with 1009', async () => {
    const socket = await open('/limits');
    socket.send(Buffer.alloc((1 << 20) + 1));
    must((await socket.ended).code === 1009, 'another code');
});
await check('thirty connections at once', async () => {
    const sockets = await Promise.all(Array.from({ length: 30 }, () => open('/')));
    await Promise.all(sockets.map((socket) => echoes(socket, 10_000)));
    await Promise.all(sockets.map((socket) => end(socket)));
});
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
