// What discord.js makes of the fake: if the library that most bots are written with connects, reads, writes and resumes
// as it does with Discord, adapters tested against the fake were tested against something like Discord.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import {
  ActionRowBuilder,
  ApplicationCommandType,
  ButtonBuilder,
  ButtonStyle,
  Client,
  DiscordAPIError,
  Events,
  GatewayIntentBits,
  MessageFlags,
  Partials,
  StringSelectMenuBuilder,
} from 'discord.js';

const TOKEN = 'MTIz.fake-bot.token-of-discord';
const [BOT, GUILD] = ['900000000000000001', '100000000004194305'];
const [GENERAL, VOICE, DIRECT] = ['200000000000000001', '200000000000000003', '300000000000000001'];
const [ANN, BEN] = ['400000000000000001', '400000000000000002'];
const program = process.env.FAKE_DISCORD;
let fake;
let lines;
let url;
let client;

const line = () =>
  new Promise((found, failed) => {
    const ended = (code) => failed(new Error(`the fake ended with ${code}`));
    fake.once('exit', ended);
    lines.once('line', (text) => {
      fake.off('exit', ended);
      found(text);
    });
  });

// Makes a person or the gateway act.
const act = async (command) => {
  const answer = line();
  fake.stdin.write(`${JSON.stringify(command)}\n`);
  const said = JSON.parse(await answer);
  assert.equal(said.error, undefined);
  return said;
};

// What the client hears next, in time.
const hears = async (name) => (await once(client, name, { signal: AbortSignal.timeout(30_000) }))[0];
const refused = (promise, code) =>
  assert.rejects(promise, (e) => {
    assert.ok(e instanceof DiscordAPIError, String(e));
    assert.equal(e.code, code, e.message);
    return true;
  });

const connect = (token, intents = []) => {
  const made = new Client({
    intents: [
      GatewayIntentBits.Guilds,
      GatewayIntentBits.GuildMessages,
      GatewayIntentBits.GuildMessageReactions,
      GatewayIntentBits.DirectMessages,
      ...intents,
    ],
    partials: [Partials.Channel, Partials.Message, Partials.Reaction, Partials.User],
    rest: { api: `${url}/api`, retries: 0 },
  });
  return [made, made.login(token)];
};

before(async () => {
  assert.ok(program, 'FAKE_DISCORD names the program');
  fake = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  fake.on('error', (e) => {
    throw e;
  });
  lines = createInterface({ input: fake.stdout });
  url = await line();
  const [made, login] = connect(TOKEN, [GatewayIntentBits.MessageContent]);
  client = made;
  const ready = hears(Events.ClientReady);
  await login;
  await ready;
});

after(async () => {
  await client?.destroy();
  const ended = new Promise((done) => fake.once('exit', done));
  fake.stdin.end();
  assert.equal(await ended, 0, 'the fake ends well');
});

test('the client knows itself, its server and the channels', async () => {
  assert.equal(client.user.id, BOT);
  const guild = client.guilds.cache.get(GUILD);
  assert.equal(guild.name, 'Fake');
  assert.deepEqual(
    [...guild.channels.cache.values()].map((channel) => channel.name).sort(),
    ['general', 'random', 'voice'],
  );
  assert.equal((await guild.members.fetch(ANN)).user.username, 'ann');
});

test('a wrong token is refused', async () => {
  const [, login] = connect('MTIz.wrong.token');
  await assert.rejects(login, /token/i);
});

test('what people do is told', async () => {
  let heard = hears(Events.MessageCreate);
  const { id } = await act({ do: 'mention', channel: GENERAL, user: ANN, text: 'hello' });
  const message = await heard;
  assert.equal(message.id, id);
  assert.equal(message.content, `<@${BOT}> hello`);
  assert.equal(message.author.id, ANN);
  assert.ok(message.mentions.has(BOT));
  assert.equal(message.guildId, GUILD);

  heard = hears(Events.MessageUpdate);
  await act({ do: 'change', id, text: 'changed' });
  await heard;
  assert.equal(message.content, 'changed');

  heard = hears(Events.MessageReactionAdd);
  await act({ do: 'react', id, user: BEN, text: '👍' });
  const reaction = await heard;
  assert.equal(reaction.emoji.name, '👍');
  assert.equal(reaction.message.id, id);

  heard = hears(Events.MessageDelete);
  await act({ do: 'delete', channel: GENERAL, id });
  assert.equal((await heard).id, id);

  heard = hears(Events.MessageCreate);
  await act({ do: 'say', channel: DIRECT, user: ANN, text: 'in private' });
  const direct = await heard;
  assert.ok(direct.channel.isDMBased());
  assert.equal(direct.content, 'in private');
});

test('messages are written, changed, answered and deleted', async () => {
  const channel = await client.channels.fetch(GENERAL);
  const sent = await channel.send({ content: 'one', embeds: [{ description: 'an embed' }] });
  assert.equal(sent.embeds[0].description, 'an embed');
  const reply = await sent.reply({ content: 'two', allowedMentions: { parse: [] } });
  assert.equal(reply.reference.messageId, sent.id);
  assert.equal((await reply.edit('three')).content, 'three');
  const read = await channel.messages.fetch({ limit: 2 });
  assert.deepEqual(
    [...read.values()].map((one) => one.content),
    ['three', 'one'],
  );
  await reply.delete();
  await refused(channel.messages.fetch({ message: reply.id, force: true }), 10008);
  await refused(reply.edit('gone'), 10008);
});

test('a nonce that is enforced makes one message of two', async () => {
  const channel = await client.channels.fetch(GENERAL);
  const first = await channel.send({ content: 'once', nonce: 'n-1', enforceNonce: true });
  const second = await channel.send({ content: 'once', nonce: 'n-1', enforceNonce: true });
  assert.equal(first.id, second.id);
});

test('limits are errors with their codes', async () => {
  const channel = await client.channels.fetch(GENERAL);
  await refused(channel.send('x'.repeat(2001)), 50035);
  await refused(channel.send(''), 50006);
  await refused(client.channels.fetch('1'), 10003);
});

test('files go up and come down', async () => {
  const channel = await client.channels.fetch(GENERAL);
  const sent = await channel.send({ files: [{ attachment: Buffer.from('the bytes'), name: 'a.txt' }] });
  const [file] = sent.attachments.values();
  assert.equal(file.name, 'a.txt');
  assert.equal(await (await fetch(file.url)).text(), 'the bytes');
});

test('a thread is made from a message, has its id, and none is made in a voice channel', async () => {
  const channel = await client.channels.fetch(GENERAL);
  const first = await channel.send('a question');
  const thread = await first.startThread({ name: 'an answer' });
  assert.equal(thread.id, first.id);
  assert.equal(thread.parentId, GENERAL);
  await thread.send('in it');
  const heard = hears(Events.MessageCreate);
  await act({ do: 'say', channel: thread.id, user: BEN, text: 'me too' });
  const message = await heard;
  assert.ok(message.channel.isThread());
  const voice = await client.channels.fetch(VOICE);
  const said = await voice.send('here');
  await assert.rejects(said.startThread({ name: 'no' }));
});

test('commands, buttons, lists and forms are answered', async () => {
  await client.application.commands.set([
    { name: 'ask', description: 'Ask', options: [{ name: 'question', type: 3, description: 'What', required: true }] },
    { name: 'Look at it', type: ApplicationCommandType.Message },
  ]);
  let heard = hears(Events.InteractionCreate);
  await act({ do: 'slash', channel: GENERAL, user: ANN, text: 'ask', question: 'why' });
  const command = await heard;
  assert.ok(command.isChatInputCommand());
  assert.equal(command.options.getString('question'), 'why');
  await command.deferReply();
  await refused(command.deferReply.call(Object.assign(command, { deferred: false })), 40060);
  command.deferred = true;
  await command.editReply({
    content: 'because',
    components: [
      new ActionRowBuilder().addComponents(
        new ButtonBuilder().setCustomId('go').setLabel('Go').setStyle(ButtonStyle.Primary),
      ),
      new ActionRowBuilder().addComponents(
        new StringSelectMenuBuilder().setCustomId('list').addOptions({ label: 'One', value: '1' }),
      ),
    ],
  });

  heard = hears(Events.InteractionCreate);
  await act({ do: 'choose', channel: GENERAL, user: ANN, text: '1' });
  const chosen = await heard;
  assert.deepEqual(chosen.values, ['1']);
  await chosen.reply({ content: 'for you', flags: MessageFlags.Ephemeral });

  heard = hears(Events.InteractionCreate);
  await act({ do: 'press', channel: GENERAL, user: ANN, text: 'Go' });
  const pressed = await heard;
  assert.ok(pressed.isButton());
  await pressed.showModal({
    customId: 'form',
    title: 'A form',
    components: [{ type: 18, label: 'Name', component: { type: 4, customId: 'name', style: 1, custom_id: 'name' } }],
  });
  heard = hears(Events.InteractionCreate);
  await act({ do: 'submit', user: ANN, name: 'name', text: 'Ann' });
  const sent = await heard;
  assert.ok(sent.isModalSubmit());
  assert.equal(sent.fields.getTextInputValue('name'), 'Ann');
  await sent.deferUpdate();

  const channel = await client.channels.fetch(GENERAL);
  const message = await channel.send('look');
  heard = hears(Events.InteractionCreate);
  await act({ do: 'menu', id: message.id, user: BEN, text: 'Look at it' });
  const menu = await heard;
  assert.equal(menu.targetMessage.content, 'look');
  await menu.reply('seen');
});

test('a connection that is cut is resumed, and nothing is lost or told twice', async () => {
  const heard = [];
  const listen = (message) => message.author.id === BEN && heard.push(message.content);
  client.on(Events.MessageCreate, listen);
  for (const [at, what] of ['cut', 'reconnect'].entries()) {
    const resumed = hears(Events.ShardResume);
    await act({ do: what });
    await act({ do: 'say', channel: GENERAL, user: BEN, text: `number ${at}` });
    await resumed;
  }
  const last = hears(Events.MessageCreate);
  await act({ do: 'say', channel: GENERAL, user: BEN, text: 'the last' });
  await last;
  client.off(Events.MessageCreate, listen);
  assert.deepEqual(heard, ['number 0', 'number 1', 'the last']);
});

test('a session that is gone begins anew, and the client did nothing wrong', async () => {
  const ready = hears(Events.ShardReady);
  await act({ do: 'forget' });
  await act({ do: 'cut' });
  await ready;
  const log = await act({ do: 'log' });
  assert.ok(log.filter((one) => one.startsWith('resume')).length >= 3, log.join('\n'));
  assert.deepEqual(
    log.filter((one) => one.startsWith('fault')),
    [],
  );
});
