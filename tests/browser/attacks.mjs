// SPDX-License-Identifier: MIT

// A real browser against a Porthole program: pages of other origins, and of a name that was rebound
// to this machine, try all that a page can send; nothing but a plain link may reach a handler. The
// program's own page does everything. The same attacks run a second time against a program whose
// guard is off, where each of them has to succeed: a test that cannot fail shows nothing.
//
//     node attacks.mjs SERVER-PROGRAM BROWSER DIRECTORY
//
// DIRECTORY holds node_modules, and takes the browser's profile.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';

const [program, browserPath, directory] = process.argv.slice(2);
const { chromium } = createRequire(path.join(directory, 'attacks.js'))('playwright-core');

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

/** The program, on a port of its own choice. */
async function startProgram(mode) {
    const child = spawn(program, [mode], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(child.stdout, 'data');
    return { child, port: Number(line.toString().trim()) };
}

/** How often each handler was called, asked for as curl would. */
async function countsOf(port) {
    const response = await fetch(`http://127.0.0.1:${port}/counts`);
    return response.json();
}

/** The attacker's own page: nothing on it, the attacks are run in it. */
async function startAttacker() {
    const server = http.createServer((request, response) => {
        response.writeHead(200, { 'Content-Type': 'text/html', Connection: 'close' });
        response.end('<!doctype html><title>attacker</title><body></body>');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
}

/** Runs in the page: each comes to an end whatever the answer, and says what it saw. */
const ATTACKS = {
    async 'fetch with cors'(base) {
        return fetch(`${base}/data`).then((response) => response.text(), String);
    },
    async 'fetch with no-cors'(base) {
        return fetch(`${base}/data`, { mode: 'no-cors' }).then((response) => response.type, String);
    },
    async 'POST with no-cors'(base) {
        return fetch(`${base}/echo`, { method: 'POST', mode: 'no-cors', body: 'attack' })
            .then((response) => response.type, String);
    },
    async 'form POST'(base) {
        return new Promise((resolve) => {
            const frame = document.createElement('iframe');
            frame.name = `answer${Math.random()}`;
            document.body.append(frame);
            const form = document.createElement('form');
            form.method = 'POST';
            form.action = `${base}/form`;
            form.target = frame.name;
            form.innerHTML = '<input name="name" value="attack">';
            document.body.append(form);
            frame.onload = () => resolve('loaded');
            form.submit();
            setTimeout(() => resolve('nothing'), 1500);
        });
    },
    async 'script'(base) {
        return new Promise((resolve) => {
            const script = document.createElement('script');
            script.onload = () => resolve(`loaded ${window.stolen}`);
            script.onerror = () => resolve('failed');
            script.src = `${base}/script.js`;
            document.body.append(script);
        });
    },
    async 'image'(base) {
        return new Promise((resolve) => {
            const image = new Image();
            image.onload = () => resolve('loaded');
            image.onerror = () => resolve('failed');
            image.src = `${base}/image.svg`;
        });
    },
    async 'iframe'(base) {
        return new Promise((resolve) => {
            const frame = document.createElement('iframe');
            frame.onload = () => resolve('loaded');
            frame.src = `${base}/page`;
            document.body.append(frame);
        });
    },
    async 'WebSocket'(base) {
        return new Promise((resolve) => {
            const socket = new WebSocket(`${base.replace('http', 'ws')}/socket`);
            socket.onmessage = (event) => resolve(event.data);
            socket.onerror = () => resolve('failed');
        });
    },
};

/** Sends a preflight first. Only the guard's rules stand behind it: nothing answers OPTIONS. */
const PREFLIGHTED = {
    async 'PUT of JSON'(base) {
        return fetch(`${base}/echo`, {
            method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: '{}',
        }).then((response) => response.text(), String);
    },
};

async function attack(context, visit, base, port, name, isOpen) {
    const page = await context.newPage();
    await visit(page);
    for (const [kind, run] of Object.entries(isOpen ? ATTACKS : { ...ATTACKS, ...PREFLIGHTED })) {
        const before = JSON.stringify(await countsOf(port));
        const source = run.toString().replace(/^async '[^']*'/, 'async function');
        const saw = await page.evaluate(`(${source})(${JSON.stringify(base)})`);
        const after = JSON.stringify(await countsOf(port));
        if (isOpen) {
            check(before !== after, `without the guard: ${kind} from ${name} gets through`, saw);
        } else {
            check(before === after, `${kind} from ${name} reaches no handler`, { saw, after });
        }
    }
    await page.close();
}

/** A link is no attack: it shows a page to the user, and nothing to the page that has it. */
async function followLink(context, attacker, port) {
    const page = await context.newPage();
    await page.goto(`${attacker}/`);
    const before = await countsOf(port);
    await page.evaluate((to) => {
        const link = document.createElement('a');
        link.href = to;
        link.id = 'link';
        link.textContent = 'link';
        document.body.append(link);
    }, `http://localhost:${port}/page`);
    await page.click('#link');
    await page.waitForURL(`http://localhost:${port}/page`);
    const after = await countsOf(port);
    check(await page.title() === 'linked page', 'a link from another site shows the page');
    check((after.page ?? 0) === (before.page ?? 0) + 1, 'a link from another site is one request');
    await page.close();
}

async function useOwnPage(context, host, port) {
    const page = await context.newPage();
    await page.goto(`http://${host}:${port}/`);
    const saw = await page.evaluate(() => window.tryAll());
    const expected = {
        fetch: '{"secret":7}', post: 'sent', json: '{}', form: 'a b&c', script: 'loaded',
        image: 'loaded', frame: 'loaded', socket: 'welcome, echo hello',
    };
    for (const [kind, wanted] of Object.entries(expected)) {
        check(saw[kind] === wanted, `the own page at ${host}: ${kind}`, saw[kind]);
    }
    await page.close();
}

/** What a rebound name is: the same name and port lead to another server than a moment before. */
async function startRebinding() {
    const rebinding = { port: 0, to: 0 };
    rebinding.server = net.createServer((client) => {
        const server = net.connect(rebinding.to, '127.0.0.1');
        for (const [from, to] of [[client, server], [server, client]]) {
            from.pipe(to);
            from.on('error', () => to.destroy());
        }
    });
    rebinding.server.listen(0, '127.0.0.1');
    await once(rebinding.server, 'listening');
    rebinding.port = rebinding.server.address().port;
    return rebinding;
}

async function runAll(context, attackerPort, rebinding, mode) {
    const isOpen = mode === 'open';
    const { child, port } = await startProgram(mode);
    try {
        const attacker = `http://localhost:${attackerPort}`;
        const visit = (page) => page.goto(`${attacker}/`);
        await attack(context, visit, `http://localhost:${port}`, port, 'another port', isOpen);
        await attack(context, visit, `http://127.0.0.1:${port}`, port, 'another site', isOpen);
        const base = `http://evil.test:${rebinding.port}`;
        const rebind = async (page) => {
            rebinding.to = attackerPort;
            await page.goto(`${base}/`);
            check(await page.title() === 'attacker', 'the attacker has a page under that name');
            rebinding.to = port;
        };
        await attack(context, rebind, base, port, 'a rebound name', isOpen);
        if (!isOpen) {
            const page = await context.newPage();
            const response = await page.goto(`http://evil.test:${port}/page`);
            check(response.status() === 403, 'the page itself is not shown under a rebound name');
            await page.close();
            await followLink(context, attacker, port);
            await useOwnPage(context, 'localhost', port);
            await useOwnPage(context, '127.0.0.1', port);
        }
    } finally {
        child.kill();
    }
}

const deadline = setTimeout(() => {
    console.log('FAIL the browser test takes too long');
    console.log(`${passed} passed, ${failed + 1} failed`);
    process.exit(1);
}, 120_000);
const attacker = await startAttacker();
const rebinding = await startRebinding();
const profile = mkdtempSync(path.join(directory, 'profile-'));
const context = await chromium.launchPersistentContext(profile, {
    executablePath: browserPath,
    headless: true,
    chromiumSandbox: false,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--host-resolver-rules=MAP evil.test 127.0.0.1'],
});
try {
    console.log(`# ${context.browser()?.version() ?? 'browser'}`);
    const { port } = attacker.address();
    await runAll(context, port, rebinding, 'guarded');
    await runAll(context, port, rebinding, 'open');
} catch (error) {
    check(false, 'the test runs to its end', String(error.stack ?? error));
} finally {
    clearTimeout(deadline);
    await context.close();
    attacker.close();
    rebinding.server.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
