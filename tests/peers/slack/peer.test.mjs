// What Slack's own clients (@slack/web-api, @slack/bolt) make of the fake's answers: if the vendor's code reads
// them as it reads Slack's, adapters tested against the fake were tested against something like Slack.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import bolt from '@slack/bolt';
import { ErrorCode, LogLevel, WebClient } from '@slack/web-api';

const TOKEN = 'xoxb-1-fake-token';
const APP_TOKEN = 'xapp-1-fake-token';
const SECRET = '8f742231b10e8888abcd99yyyzzz85a5';
const program = process.env.FAKE_SLACK;
let fake;
let lines;
let url;
let slack;

const client = (token, options = {}) =>
  new WebClient(token, {
    slackApiUrl: `${url}/api/`,
    logLevel: LogLevel.ERROR,
    retryConfig: { retries: 0 },
    ...options,
  });
const refused = (promise, error) =>
  assert.rejects(promise, (e) => {
    assert.equal(e.code, ErrorCode.PlatformError, e.message);
    assert.equal(e.data.error, error);
    return true;
  });

const line = () =>
  new Promise((found, failed) => {
    const ended = (code) => failed(new Error(`the fake ended with ${code}`));
    fake.once('exit', ended);
    lines.once('line', (text) => {
      fake.off('exit', ended);
      found(text);
    });
  });

// Makes a person act; what the hook answered.
const act = async (command) => {
  const answer = line();
  fake.stdin.write(`${JSON.stringify(command)}\n`);
  return JSON.parse(await answer);
};

before(async () => {
  assert.ok(program, 'FAKE_SLACK names the program');
  fake = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  fake.on('error', (e) => {
    throw e;
  });
  lines = createInterface({ input: fake.stdout });
  url = await line();
  slack = client(TOKEN);
  // Much is asked in no time; the rates have a test of their own.
  await act({ do: 'rates', on: false });
});

after(async () => {
  const ended = new Promise((done) => fake.once('exit', done));
  fake.stdin.end();
  assert.equal(await ended, 0, 'the fake ends well');
});

test('auth.test tells who the bot is, and its scopes', async () => {
  const me = await slack.auth.test();
  assert.equal(me.user_id, 'UBOT');
  assert.equal(me.team_id, 'T1');
  assert.ok(me.response_metadata.scopes.includes('chat:write'));
});

test('bad tokens and unknown methods are platform errors', async () => {
  await refused(client('xoxb-wrong').auth.test(), 'invalid_auth');
  await refused(client(undefined).auth.test(), 'not_authed');
  await refused(slack.apiCall('chat.shout'), 'unknown_method');
});

test('a message is posted, changed, read and deleted', async () => {
  const posted = await slack.chat.postMessage({
    channel: 'C1',
    text: 'fallback & more',
    blocks: [
      { type: 'markdown', text: '**bold** `code`' },
      {
        type: 'actions',
        elements: [
          {
            type: 'button',
            text: { type: 'plain_text', text: 'Allow' },
            action_id: 'by:t',
            value: 't',
            style: 'primary',
          },
        ],
      },
    ],
    metadata: { event_type: 'botyard', event_payload: { id: 'n-0' } },
  });
  assert.match(posted.ts, /^\d{10}\.\d{6}$/);
  assert.equal(posted.message.bot_id, 'BBOT');

  const reply = await slack.chat.postMessage({ channel: 'C1', thread_ts: posted.ts, text: 'reply' });
  const updated = await slack.chat.update({ channel: 'C1', ts: reply.ts, text: 'better' });
  assert.equal(updated.message.text, 'better');

  const replies = await slack.conversations.replies({ channel: 'C1', ts: posted.ts, include_all_metadata: true });
  assert.deepEqual(replies.messages.map((m) => m.text), ['fallback & more', 'better']);
  assert.equal(replies.messages[0].metadata.event_payload.id, 'n-0');
  assert.equal(replies.has_more, false);

  const history = await slack.conversations.history({ channel: 'C1', limit: 1 });
  assert.equal(history.messages[0].ts, posted.ts);
  assert.equal(history.messages[0].metadata, undefined);

  await slack.reactions.add({ channel: 'C1', timestamp: posted.ts, name: 'eyes' });
  await refused(slack.reactions.add({ channel: 'C1', timestamp: posted.ts, name: 'eyes' }), 'already_reacted');
  await slack.chat.delete({ channel: 'C1', ts: reply.ts });
  await refused(slack.chat.update({ channel: 'C1', ts: reply.ts, text: 'x' }), 'message_not_found');
});

test('paging goes through all pages', async () => {
  for (let n = 0; n < 5; n += 1) await slack.chat.postMessage({ channel: 'D1', text: `m${n}` });
  const read = [];
  for await (const page of slack.paginate('conversations.history', { channel: 'D1', limit: 2 })) {
    read.push(...page.messages.map((m) => m.text));
  }
  assert.deepEqual(read, ['m4', 'm3', 'm2', 'm1', 'm0']);
});

test('limits are refused by name', async () => {
  const blocks = (...all) => slack.chat.postMessage({ channel: 'C1', text: 'x', blocks: all });
  const markdown = (length) => ({ type: 'markdown', text: 'x'.repeat(length) });
  await refused(blocks(markdown(12001)), 'invalid_blocks');
  await refused(blocks(markdown(7000), markdown(7000)), 'msg_blocks_too_long');
  await refused(blocks(...Array(51).fill({ type: 'divider' })), 'invalid_blocks');
  await refused(slack.chat.postMessage({ channel: 'C9', text: 'x' }), 'channel_not_found');
  await refused(slack.chat.postMessage({ channel: 'C1', markdown_text: 'x', text: 'y' }), 'markdown_text_conflict');
  await refused(slack.chat.postEphemeral({ channel: 'C1', user: 'U9', text: 'x' }), 'user_not_in_channel');
});

test('a rate limit is told as Slack tells it, with a pause', async () => {
  const impatient = client(TOKEN, { rejectRateLimitedCalls: true });
  const post = () => impatient.chat.postMessage({ channel: 'C1', text: 'x' });
  await act({ do: 'rates', on: true });
  try {
    for (let n = 0; n < 3; n += 1) await post();
    await assert.rejects(post(), (e) => {
      assert.equal(e.code, ErrorCode.RateLimitedError, e.message);
      assert.ok(e.retryAfter >= 1 && e.retryAfter <= 3, `${e.retryAfter}`);
      return true;
    });
  } finally {
    await act({ do: 'rates', on: false });
  }
});

test('what only one person sees is posted', async () => {
  const whisper = await slack.chat.postEphemeral({ channel: 'C1', user: 'U1', text: 'psst' });
  assert.match(whisper.message_ts, /^\d{10}\.\d{6}$/);
});

test('people and channels are known', async () => {
  assert.equal((await slack.users.info({ user: 'U1', include_locale: true })).user.locale, 'en-US');
  assert.equal((await slack.users.info({ user: 'U1' })).user.locale, undefined);
  await refused(slack.users.info({ user: 'U9' }), 'user_not_found');
  assert.equal((await slack.conversations.info({ channel: 'D1' })).channel.is_im, true);
});

test('a file is uploaded in its three steps', async () => {
  const uploaded = await slack.files.uploadV2({ channel_id: 'C1', filename: 'a.txt', file: Buffer.from('hello') });
  const id = uploaded.files[0].files[0].id;
  assert.equal((await slack.files.info({ file: id })).file.name, 'a.txt');
});

test('a form needs a trigger of Slack\'s', async () => {
  const view = { type: 'modal', title: { type: 'plain_text', text: 'T' }, blocks: [] };
  await refused(slack.views.open({ trigger_id: '1.2.x', view }), 'invalid_trigger_id');
});

test('a message grows as a stream, in its order and with its limits', async () => {
  const root = await slack.chat.postMessage({ channel: 'C1', text: 'go' });
  const place = { channel: 'C1', thread_ts: root.ts };
  await slack.assistant.threads.setStatus({ channel_id: 'C1', thread_ts: root.ts, status: 'is working' });
  const session = await slack.agents.sessions.setStatus({ channel_id: 'C1', thread_ts: root.ts, status: 'processing' });
  assert.equal(session.status, 'processing');
  await refused(slack.chat.startStream(place), 'missing_recipient_user_id');
  const reader = { recipient_user_id: 'U1', recipient_team_id: 'T1' };
  const started = await slack.chat.startStream({ ...place, ...reader, task_display_mode: 'timeline' });
  const { ts } = started;
  const task = (status) => ({ type: 'task_update', id: 's1', title: 'Read it', status });
  await slack.chat.appendStream({ channel: 'C1', ts, chunks: [{ type: 'markdown_text', text: 'one ' }, task('in_progress')] });
  await refused(slack.chat.update({ channel: 'C1', ts, text: 'x' }), 'streaming_state_conflict');
  await refused(slack.chat.appendStream({ channel: 'C1', ts, markdown_text: 'x'.repeat(12001) }), 'msg_too_long');
  await slack.chat.stopStream({ channel: 'C1', ts, chunks: [task('complete')], markdown_text: 'two' });
  await refused(slack.chat.appendStream({ channel: 'C1', ts, markdown_text: 'late' }), 'message_not_in_streaming_state');
  await refused(slack.chat.stopStream({ channel: 'C1', ts }), 'message_not_in_streaming_state');
  const read = await act({ do: 'read', channel: 'C1' });
  assert.equal(read.at(-1), 'one \n(complete) Read it\ntwo');

  // The SDK's own helper, which buffers and speaks in its own order.
  const helper = slack.chatStream({ ...place, ...reader, buffer_size: 4 });
  await helper.append({ markdown_text: 'first ' });
  await helper.append({ markdown_text: 'second ' });
  await helper.stop({ markdown_text: 'third' });
  assert.equal((await act({ do: 'read', channel: 'C1' })).at(-1), 'first second third');
});

test('bolt holds sockets of Socket Mode, over a refresh too', async () => {
  const clientOptions = { slackApiUrl: `${url}/api/` };
  const app = new bolt.App({
    token: TOKEN,
    appToken: APP_TOKEN,
    socketMode: true,
    logLevel: LogLevel.ERROR,
    clientOptions,
    installerOptions: { clientOptions },
  });
  const happened = [];
  app.message(/./, async ({ message }) => happened.push(['message', message.text]));
  app.event('app_mention', async ({ event }) => happened.push(['mention', event.text]));
  app.command('/botyard', async ({ ack, command }) => {
    await ack(`working on ${command.text}`);
    happened.push(['command', command.text]);
  });
  await app.start();
  try {
    const write = (text) => act({ do: 'write', channel: 'D1', user: 'U1', text });
    const taken = { status: 200, body: '' };
    assert.deepEqual(await write('before'), taken);
    await act({ do: 'refresh' });
    assert.deepEqual(await write('after'), taken);
    const answer = await act({ do: 'slash', channel: 'C1', user: 'U1', command: '/botyard', text: 'stop' });
    assert.equal(answer.status, 200);
    assert.equal(JSON.parse(answer.body).text, 'working on stop');
    const sockets = await act({ do: 'sockets' });
    assert.deepEqual(sockets, { open: 1, opened: 2, protests: [] });
  } finally {
    await app.stop();
  }
  assert.deepEqual(happened, [['message', 'before'], ['message', 'after'], ['command', 'stop']]);
  const other = client('xapp-wrong');
  await refused(other.apps.connections.open(), 'invalid_auth');
  await refused(slack.apps.connections.open(), 'not_allowed_token_type');
});

test('bolt understands what the fake sends: events, presses and commands', async () => {
  const { App, HTTPReceiver } = bolt;
  const receive = (signingSecret) =>
    new HTTPReceiver({ signingSecret, endpoints: '/slack/events', logLevel: LogLevel.ERROR });
  const start = async (signingSecret) => {
    const app = new App({
      token: TOKEN,
      receiver: receive(signingSecret),
      logLevel: LogLevel.ERROR,
      clientOptions: { slackApiUrl: `${url}/api/` },
    });
    const server = await app.start({ port: 0, host: '127.0.0.1' });
    return { app, hook: `http://127.0.0.1:${server.address().port}/slack/events` };
  };
  const { app, hook } = await start(SECRET);
  const button = {
    type: 'button',
    text: { type: 'plain_text', text: 'Allow' },
    action_id: 'by:tok',
    value: 'tok',
  };
  const happened = [];
  const once = {};
  const wait = (name) => new Promise((done) => (once[name] = done));
  const note = (name, ...more) => {
    happened.push([name, ...more]);
    once[name]?.();
  };
  app.message('ping', async ({ message, say }) => {
    await say({ text: 'Allow?', blocks: [{ type: 'actions', elements: [button] }] });
    note('message', message.user, message.channel_type);
  });
  app.event('app_mention', async ({ event, context }) => note('mention', event.text, context.botUserId));
  app.action('by:tok', async ({ ack, action, body, respond }) => {
    await ack();
    await respond({ text: 'taken', replace_original: false });
    note('press', action.value, body.container.channel_id, body.user.id);
  });
  app.command('/botyard', async ({ ack, command, client: web }) => {
    await ack('working');
    const view = { type: 'modal', callback_id: 'by:tok', title: { type: 'plain_text', text: 'T' }, blocks: [] };
    const opened = await web.views.open({ trigger_id: command.trigger_id, view });
    note('command', command.text, opened.view.callback_id);
  });
  const step = async (name, command, answer) => {
    const seen = wait(name);
    assert.deepEqual(await act({ hook, user: 'U1', ...command }), answer);
    await seen;
  };
  const taken = { status: 200, body: '' };
  try {
    await step('message', { do: 'write', channel: 'D1', text: 'ping' }, taken);
    await step('press', { do: 'press', channel: 'D1', text: 'tok' }, taken);
    await step('mention', { do: 'mention', channel: 'C1', text: 'look' }, taken);
    await step('command', { do: 'slash', channel: 'C1', command: '/botyard', text: 'stop' }, { status: 200, body: 'working' });
  } finally {
    await app.stop();
  }
  assert.deepEqual(happened, [
    ['message', 'U1', 'im'],
    ['press', 'tok', 'D1', 'U1'],
    ['mention', '<@UBOT> look', 'UBOT'],
    ['command', 'stop', 'by:tok'],
  ]);

  const other = await start('another secret');
  try {
    const refusal = await act({ do: 'write', hook: other.hook, channel: 'D1', user: 'U1', text: 'ping' });
    assert.equal(refusal.status, 401);
  } finally {
    await other.app.stop();
  }
});
