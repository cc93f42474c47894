// SPDX-License-Identifier: MIT

// A real browser uses the live examples: the chat over WebSocket and its close codes, uploads with
// their progress, and the dashboard, whose EventSource loses its connection, comes back and says
// what it has seen last.
//
//     node live.mjs DIRECTORY-OF-EXAMPLES BROWSER DIRECTORY
//
// DIRECTORY holds node_modules.

import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

const [examples, browserPath, directory] = process.argv.slice(2);
const { chromium } = createRequire(path.join(directory, 'live.js'))('playwright-core');

const PATIENCE_MS = 15_000;
const MEGABYTE = 1024 * 1024;

let passed = 0;
let failed = 0;
function check(holds, name, detail = '') {
    if (holds) {
        ++passed;
        console.log(`ok ${name}`);
    } else {
        ++failed;
        console.log(`FAIL ${name} ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`);
    }
}

/** An example on a port of its own choice: its process, and the address that it prints. */
async function start(name, ...options) {
    const child = spawn(path.join(examples, name), ['--port', '0', ...options], {
        stdio: ['ignore', 'pipe', 'inherit'],
    });
    process.on('exit', () => child.kill());
    let words = '';
    while (!/http:\S+/.test(words)) {
        const [piece] = await once(child.stdout, 'data');
        words += piece;
    }
    child.stdout.resume();
    return { child, url: new URL(/http:\S+/.exec(words)[0]) };
}

async function stop({ child }) {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) {
        await once(child, 'exit');
    }
}

/** What `holds` gives in the page, as soon as it is true. */
function comesTrue(page, holds, argument) {
    return page.waitForFunction(holds, argument, { timeout: PATIENCE_MS }).then(
        () => true, () => false);
}

const linesHave = (text) =>
    [...document.querySelectorAll('#lines li')].some((line) => line.textContent === text);

/** Runs in the page: connects, sends, and tells how the socket was closed. */
function closeOf({ address, protocols, words, code }) {
    return new Promise((resolve) => {
        const socket = new WebSocket(address, protocols);
        socket.onopen = () => {
            if (words !== undefined) {
                socket.send(words === 'binary' ? new Uint8Array([1, 2, 3]) : words);
            }
            if (code !== undefined) {
                socket.close(code, 'done');
            }
        };
        socket.onclose = ({ code: closed, reason, wasClean }) =>
            resolve({ code: closed, reason, wasClean });
        setTimeout(() => resolve({ code: 0, reason: 'nothing happened' }), 10_000);
    });
}

async function useChat(context) {
    const program = await start('chat');
    const address = program.url.href.replace(/^http/, 'ws') + 'chat';
    const anna = await context.newPage();
    const bert = await context.newPage();
    await anna.goto(program.url.href);
    check(await comesTrue(anna, linesHave, 'guest 1 is here'), 'chat: one who enters is announced');
    await bert.goto(program.url.href);
    check(await comesTrue(bert, linesHave, 'guest 1 is here'), 'chat: newcomers see what was said');
    await anna.fill('#text', 'h\u00e4llo <b>there</b>');
    await anna.press('#text', 'Enter');
    const said = 'guest 1: h\u00e4llo <b>there</b>';
    check(await comesTrue(bert, linesHave, said), 'chat: the other one reads it, as text');
    check(await comesTrue(anna, linesHave, said), 'chat: so does the one who said it');

    const binary = await anna.evaluate(closeOf, { address, words: 'binary' });
    check(binary.code === 1003 && binary.wasClean, 'chat: binary is closed with 1003', binary);
    check(binary.reason === 'only text is spoken here', 'chat: and with the reason', binary);
    const long = await anna.evaluate(closeOf, { address, words: 'x'.repeat(2001) });
    check(long.code === 1009 && long.wasClean, 'chat: too long a message is 1009', long);
    const own = await anna.evaluate(closeOf, { address, code: 3456 });
    check(own.code === 3456 && own.wasClean, "chat: the page's own code comes back", own);
    const odd = await anna.evaluate(closeOf, { address, protocols: ['nobody-speaks-this'] });
    check(odd.code === 1006, 'chat: a subprotocol that nobody speaks is no connection', odd);

    await bert.close();
    check(await comesTrue(anna, linesHave, 'guest 2 has left'), 'chat: one who leaves is announced');
    await stop(program);
    const shows = () => document.getElementById('connection').textContent.startsWith('Not');
    check(await comesTrue(anna, shows), 'chat: the page sees that the program has ended');
    await anna.close();
}

function sha256(bytes) {
    return createHash('sha256').update(bytes).digest('hex');
}

/**
 * A way to the program that can be cut, and that sees what is asked. With a pace it takes a rest of
 * so many milliseconds behind each piece of the client's.
 */
async function makeRelay(port, paceMs = 0) {
    const pairs = new Set();
    const asked = [];
    const relay = net.createServer((client) => {
        const server = net.connect(port, '127.0.0.1');
        pairs.add(client).add(server);
        client.on('data', (bytes) => asked.push(bytes.toString('latin1', 0, 4096)));
        if (paceMs > 0) {
            client.on('data', (bytes) => {
                client.pause();
                server.write(bytes, () => setTimeout(() => client.resume(), paceMs));
            });
        } else {
            client.pipe(server);
        }
        server.pipe(client);
        for (const socket of [client, server]) {
            socket.on('error', () => {});
            socket.on('close', () => pairs.delete(socket));
        }
    });
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    return {
        port: relay.address().port,
        asked,
        cut: () => pairs.forEach((socket) => socket.destroy()),
        close: () => relay.close(),
    };
}

async function useUpload(context, scratch) {
    const folder = path.join(scratch, 'incoming');
    mkdirSync(folder);
    const program = await start('upload', '--folder', folder, '--max-mb', '64');
    // Slowly enough for the browser, which tells of the progress a few times a second.
    const relay = await makeRelay(Number(program.url.port), 1);
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${relay.port}/`);
    await page.evaluate(() => {
        window.seen = [];
        const open = XMLHttpRequest.prototype.open;
        XMLHttpRequest.prototype.open = function (...all) {
            this.upload.addEventListener('progress', (event) => window.seen.push(event.loaded));
            return open.apply(this, all);
        };
    });
    const large = path.join(scratch, 'large file.bin');
    const bytes = randomBytes(48 * MEGABYTE);
    writeFileSync(large, bytes);
    await page.setInputFiles('#files', large);
    const isDone = () => document.querySelectorAll('#list li[data-status]').length === 1;
    check(await comesTrue(page, isDone), 'upload: 48 MiB come to an end');
    const status = await page.getAttribute('#list li', 'data-status');
    check(status === '201', 'upload: it is stored', status);
    const seen = await page.evaluate(() => window.seen);
    check(seen.length >= 3 && seen.every((at, i) => i === 0 || at >= seen[i - 1]),
        'upload: the page sees the progress', seen.slice(0, 20));
    const stored = readdirSync(folder);
    check(stored.length === 1 && stored[0] === 'large file.bin', 'upload: under its name', stored);
    check(sha256(readFileSync(path.join(folder, stored[0]))) === sha256(bytes),
        'upload: byte by byte the same');

    const huge = path.join(scratch, 'huge.bin');
    writeFileSync(huge, Buffer.alloc(65 * MEGABYTE));
    await page.setInputFiles('#files', huge);
    const areDone = () => document.querySelectorAll('#list li[data-status]').length === 2;
    check(await comesTrue(page, areDone), 'upload: 65 MiB are refused');
    const refused = await page.getAttribute('#list li:nth-child(2)', 'data-status');
    check(refused === '413', 'upload: with 413', refused);
    check(readdirSync(folder).length === 1, 'upload: and nothing of it is left', readdirSync(folder));
    await page.close();
    relay.close();
    await stop(program);
}

async function useDashboard(context) {
    const program = await start('live_dashboard');
    const relay = await makeRelay(Number(program.url.port));
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${relay.port}/`);
    const hasFigures = () => document.querySelectorAll('#figures dd').length >= 4;
    check(await comesTrue(page, hasFigures), 'dashboard: figures come as events');
    const hasFrames = (count) => Number(document.getElementById('view').dataset.frames) >= count;
    check(await comesTrue(page, hasFrames, 30), 'dashboard: the picture moves');

    await page.evaluate(() => {
        const speed = document.getElementById('speed');
        speed.value = 120;
        speed.dispatchEvent(new Event('input'));
    });
    const isShown = () => document.getElementById('speed').dataset.shown === '120';
    check(await comesTrue(page, isShown), 'dashboard: what the user turns arrives and comes back');

    const before = await page.evaluate(() => document.getElementById('figures').dataset.last);
    check(/^\S+$/.test(before ?? ''), 'dashboard: events have ids', before);
    relay.asked.length = 0;
    relay.cut();
    const isConnecting = () => document.getElementById('events').textContent.endsWith('connecting');
    check(await comesTrue(page, isConnecting), 'dashboard: the page sees the cut');
    const isBack = () => document.getElementById('events').textContent.endsWith('connected');
    check(await comesTrue(page, isBack), 'dashboard: and the browser comes back by itself');
    const goesOn = (last) => document.getElementById('figures').dataset.last !== last;
    check(await comesTrue(page, goesOn, before), 'dashboard: with newer events');
    const again = relay.asked.find((words) => words.startsWith('GET /events'));
    const id = /^last-event-id: (\S+)\r$/im.exec(again ?? '')?.[1];
    check(id !== undefined, 'dashboard: it has said what it saw last', again ?? 'never asked');
    const frames = await page.evaluate(() => document.getElementById('view').dataset.frames);
    check(await comesTrue(page, hasFrames, Number(frames) + 30),
        'dashboard: the picture moves on, over a new socket');
    await page.close();
    relay.close();
    await stop(program);
}

const deadline = setTimeout(() => {
    console.log('FAIL the live test takes too long');
    console.log(`${passed} passed, ${failed + 1} failed`);
    process.exit(1);
}, 180_000);
const scratch = mkdtempSync(path.join(tmpdir(), 'porthole-live-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
const context = await chromium.launchPersistentContext(path.join(scratch, 'profile'), {
    executablePath: browserPath,
    headless: true,
    chromiumSandbox: false,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
    console.log(`# ${context.browser()?.version() ?? 'browser'}`);
    await useChat(context);
    await useUpload(context, scratch);
    await useDashboard(context);
} catch (error) {
    check(false, 'the test runs to its end', String(error.stack ?? error));
} finally {
    clearTimeout(deadline);
    await context.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
