// What Feishu's own client (@larksuiteoapi/node-sdk) makes of the fake: if the vendor's code reads its answers and its
// connection as it reads Feishu's, adapters tested against the fake were tested against something like Feishu.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import * as lark from '@larksuiteoapi/node-sdk';

const APP = { appId: 'cli_a1b2c3d4e5f60718', appSecret: 'fake-app-secret-0123456789abcdef' };
const KEYS = {
  encryptKey: 'fake-encrypt-key-0123456789',
  verificationToken: 'fake-verification-token-0123456789',
};
const GROUP = 'oc_group';
const program = process.env.FAKE_FEISHU;
const quiet = { error() {}, warn() {}, info() {}, debug() {}, trace() {} };
let fake;
let lines;
let url;
let client;

const connect = (secret) =>
  new lark.Client({
    ...APP,
    appSecret: secret,
    domain: url,
    logger: quiet,
    cache: { get: async () => undefined, set: async () => true },
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

// Makes a person act; what came of it.
const act = async (command) => {
  const answer = line();
  fake.stdin.write(`${JSON.stringify(command)}\n`);
  return JSON.parse(await answer);
};

const until = async (what, like) => {
  const begun = Date.now();
  while (!(await like())) {
    assert.ok(Date.now() - begun < 20_000, `not in time: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
};

// The vendor's code of a refusal.
const refused = (promise, code) =>
  assert.rejects(promise, (e) => {
    assert.equal(e.response?.data?.code, code, e.message);
    return true;
  });

before(async () => {
  assert.ok(program, 'FAKE_FEISHU names the program');
  fake = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  fake.on('error', (e) => {
    throw e;
  });
  lines = createInterface({ input: fake.stdout });
  url = await line();
  client = connect(APP.appSecret);
  // Much is asked in no time; the rates have a test of their own.
  await act({ do: 'rates', on: false });
});

after(async () => {
  const ended = new Promise((done) => fake.once('exit', done));
  fake.stdin.end();
  assert.equal(await ended, 0, 'the fake ends well');
});

const send = async (msg_type, content, uuid) => {
  const answer = await client.im.message.create({
    params: { receive_id_type: 'chat_id' },
    data: { receive_id: GROUP, msg_type, content: JSON.stringify(content), uuid },
  });
  assert.equal(answer.code, 0, answer.msg);
  return answer.data.message_id;
};

const card = (elements, streaming = false) => ({
  schema: '2.0',
  config: { update_multi: true, streaming_mode: streaming },
  body: { elements },
});
const markdown = (content) => ({ tag: 'markdown', element_id: 'text', content });

test('the bot knows itself, and a wrong secret is refused', async () => {
  const info = await client.request({ method: 'GET', url: '/open-apis/bot/v3/info' });
  assert.equal(info.bot.open_id, 'ou_bot');
  const stranger = connect('guessed');
  await assert.rejects(stranger.request({ method: 'GET', url: '/open-apis/bot/v3/info' }));
});

test('messages are sent, answered, changed, reacted to and taken back', async () => {
  const id = await send('text', { text: 'hello' }, 'node-1');
  assert.equal(await send('text', { text: 'hello' }, 'node-1'), id, 'a uuid is sent once');
  const answer = await client.im.message.reply({
    path: { message_id: id },
    data: { msg_type: 'text', content: '{"text":"in a thread"}', reply_in_thread: true },
  });
  assert.equal(answer.data.root_id, id);
  assert.ok(answer.data.thread_id);
  const edited = await client.im.message.update({
    path: { message_id: id },
    data: { msg_type: 'text', content: '{"text":"changed"}' },
  });
  assert.equal(edited.code, 0);
  const reaction = await client.im.messageReaction.create({
    path: { message_id: id },
    data: { reaction_type: { emoji_type: 'Typing' } },
  });
  const off = await client.im.messageReaction.delete({
    path: { message_id: id, reaction_id: reaction.data.reaction_id },
  });
  assert.equal(off.code, 0);
  const found = await client.im.message.get({ path: { message_id: id } });
  assert.equal(found.data.items[0].body.content, '{"text":"changed"}');
  const list = await client.im.message.list({
    params: { container_id_type: 'chat', container_id: GROUP, sort_type: 'ByCreateTimeDesc', page_size: 1 },
  });
  assert.equal(list.data.items.length, 1);
  assert.equal((await client.im.message.delete({ path: { message_id: id } })).code, 0);
  const late = { path: { message_id: id }, data: { msg_type: 'text', content: '{"text":"x"}' } };
  await refused(client.im.message.reply(late), 230011);
});

test('cards are patched, and what Feishu would not take is refused', async () => {
  const id = await send('interactive', card([markdown('one')]));
  const patched = await client.im.message.patch({
    path: { message_id: id },
    data: { content: JSON.stringify(card([markdown('two')])) },
  });
  assert.equal(patched.code, 0);
  assert.ok((await act({ do: 'read', chat: GROUP })).messages.includes('two'));
  const wrong = {
    params: { receive_id_type: 'chat_id' },
    data: { receive_id: GROUP, msg_type: 'interactive', content: JSON.stringify(card([{ tag: 'blink' }])) },
  };
  await refused(client.im.message.create(wrong), 230099);
});

test('rate limits are told as Feishu tells them', async () => {
  await act({ do: 'rates', on: true });
  try {
    for (let n = 0; n < 5; n += 1) await send('text', { text: 'x' });
    await refused(send('text', { text: 'x' }), 230020);
    const info = () => client.request({ method: 'GET', url: '/open-apis/bot/v3/info' });
    const all = await Promise.allSettled(Array.from({ length: 200 }, info));
    const over = all.filter((one) => one.status === 'rejected').map((one) => one.reason.response);
    assert.ok(over.length > 0, 'fifty in a second are all');
    assert.equal(over[0].status, 429);
    assert.equal(over[0].data.code, 99991400);
    assert.equal(over[0].headers['x-ogw-ratelimit-reset'], '1');
  } finally {
    await act({ do: 'rates', on: false });
  }
});

test('a card entity streams and is closed', async () => {
  const made = await client.cardkit.v1.card.create({
    data: { type: 'card_json', data: JSON.stringify(card([markdown('…')], true)) },
  });
  const card_id = made.data.card_id;
  await send('interactive', { type: 'card', data: { card_id } });
  let calls = 0;
  const stream = (content, sequence) =>
    client.cardkit.v1.cardElement.content({
      path: { card_id, element_id: 'text' },
      data: { content, sequence, uuid: `c_${card_id}_${(calls += 1)}` },
    });
  assert.equal((await stream('Hello', 1)).code, 0);
  assert.equal((await stream('Hello there', 2)).code, 0);
  await refused(stream('again', 2), 300317);
  const closed = await client.cardkit.v1.card.settings({
    path: { card_id },
    data: { settings: '{"config":{"streaming_mode":false}}', sequence: 3 },
  });
  assert.equal(closed.code, 0);
  await refused(stream('too late', 4), 300309);
  const whole = await client.cardkit.v1.card.update({
    path: { card_id },
    data: { card: { type: 'card_json', data: JSON.stringify(card([markdown('The end')])) }, sequence: 5 },
  });
  assert.equal(whole.code, 0);
  assert.ok((await act({ do: 'read', chat: GROUP })).messages.includes('The end'));
});

test('files and images are uploaded', async () => {
  const file = await client.im.file.create({
    data: { file_type: 'stream', file_name: 'a.csv', file: Buffer.from('a,b') },
  });
  assert.ok(file.file_key);
  await send('file', { file_key: file.file_key });
  const image = await client.im.image.create({
    data: { image_type: 'message', image: Buffer.from('\x89PNG and more', 'latin1') },
  });
  await send('image', { image_key: image.image_key });
});

test('the long connection brings messages and presses, whole and in parts, and comes again', async () => {
  const heard = [];
  const dispatcher = new lark.EventDispatcher({ logger: quiet }).register({
    'im.message.receive_v1': async (data) => {
      heard.push(JSON.parse(data.message.content).text);
    },
    'card.action.trigger': async (data) => {
      heard.push(data.action.value);
      return { toast: { type: 'success', content: 'Allowed' } };
    },
  });
  const socket = new lark.WSClient({ ...APP, domain: url, logger: quiet, loggerLevel: lark.LoggerLevel.fatal });
  // What comes before the client listens is lost to it: its first ping says that it does.
  const ready = (count) =>
    until(`connection ${count}`, async () => (await act({ do: 'state' })).pings >= count);
  const write = (text, parts) => act({ do: 'write', chat: GROUP, user: 'ou_ann', text, parts });
  socket.start({ eventDispatcher: dispatcher });
  try {
    await ready(1);
    assert.equal((await write('@_user_1 hello')).code, 200);
    assert.equal((await write('in parts', 4)).code, 200);
    assert.deepEqual(heard, ['@_user_1 hello', 'in parts']);
    const button = {
      tag: 'button',
      text: { tag: 'plain_text', content: 'Allow' },
      behaviors: [{ type: 'callback', value: { token: 't-1' } }],
    };
    await send('interactive', card([button]));
    const word = await act({ do: 'press', chat: GROUP, user: 'ou_ann', text: 'Allow' });
    assert.deepEqual(word, { code: 200, data: { toast: { type: 'success', content: 'Allowed' } } });
    assert.deepEqual(heard[2], { token: 't-1' });
    await act({ do: 'cut' });
    await ready(2);
    assert.equal((await write('after the cut')).code, 200);
    assert.deepEqual((await act({ do: 'state' })).complaints, []);
  } finally {
    socket.close({ force: true });
  }
});

test('a hook takes the challenge and events, encrypted and plain', async () => {
  const heard = [];
  for (const plain of [false, true]) {
    const keys = plain ? { verificationToken: KEYS.verificationToken } : KEYS;
    const dispatcher = new lark.EventDispatcher({ ...keys, logger: quiet }).register({
      'im.message.receive_v1': async (data) => {
        heard.push(JSON.parse(data.message.content).text);
      },
    });
    const options = { autoChallenge: true };
    const server = createServer(lark.adaptDefault('/hook', dispatcher, options));
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const hook = `http://127.0.0.1:${server.address().port}/hook`;
    const tried = await act({ do: 'challenge', hook, plain, text: 'a word' });
    assert.equal(JSON.parse(tried.body).challenge, 'a word');
    const told = await act({ do: 'write', hook, plain, chat: GROUP, user: 'ou_ann', text: `plain ${plain}` });
    assert.equal(told.status, 200);
    await new Promise((done) => server.close(done));
  }
  assert.deepEqual(heard, ['plain false', 'plain true']);
});
