"""What Feishu's own client for Python (lark-oapi) makes of the fake."""

import json
import os
import subprocess
import threading
import time
import unittest

import lark_oapi as lark
from lark_oapi.api.im.v1 import CreateMessageRequest, CreateMessageRequestBody
from lark_oapi.event.callback.model.p2_card_action_trigger import P2CardActionTriggerResponse

APP_ID = "cli_a1b2c3d4e5f60718"
APP_SECRET = "fake-app-secret-0123456789abcdef"
GROUP = "oc_group"
BUTTON = {
    "tag": "button",
    "text": {"tag": "plain_text", "content": "Allow"},
    "behaviors": [{"type": "callback", "value": {"token": "t-1"}}],
}
CARD = {"schema": "2.0", "body": {"elements": [BUTTON]}}


class Peer(unittest.TestCase):
    def setUp(self):
        self.fake = subprocess.Popen(
            [os.environ["FAKE_FEISHU"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self.fake.stdout.readline().strip()

    def tearDown(self):
        self.fake.stdin.close()
        self.assertEqual(self.fake.wait(), 0, "the fake ends well")
        self.fake.stdout.close()

    def act(self, **command):
        self.fake.stdin.write(json.dumps(command) + "\n")
        self.fake.stdin.flush()
        return json.loads(self.fake.stdout.readline())

    def send(self, kind, content):
        client = lark.Client.builder().app_id(APP_ID).app_secret(APP_SECRET).domain(self.url).build()
        body = CreateMessageRequestBody.builder().receive_id(GROUP).msg_type(kind).content(json.dumps(content)).build()
        request = CreateMessageRequest.builder().receive_id_type("chat_id").request_body(body).build()
        answer = client.im.v1.message.create(request)
        self.assertTrue(answer.success(), answer.msg)

    def test_messages_are_sent_and_the_long_connection_brings_events(self):
        self.send("text", {"text": "hello"})
        self.assertEqual(self.act(do="read", chat=GROUP), {"messages": ["hello"]})
        heard = []

        def message(data):
            heard.append(json.loads(data.event.message.content)["text"])

        def press(data):
            heard.append(data.event.action.value)
            return P2CardActionTriggerResponse({"toast": {"type": "success", "content": "Allowed"}})

        handler = (
            lark.EventDispatcherHandler.builder("", "")
            .register_p2_im_message_receive_v1(message)
            .register_p2_card_action_trigger(press)
            .build()
        )
        client = lark.ws.Client(
            APP_ID, APP_SECRET, event_handler=handler, domain=self.url, log_level=lark.LogLevel.CRITICAL
        )
        threading.Thread(target=client.start, daemon=True).start()
        begun = time.monotonic()
        while not self.act(do="state")["pings"]:
            self.assertLess(time.monotonic() - begun, 20, "it pings at once")
            time.sleep(0.02)
        write = {"do": "write", "chat": GROUP, "user": "ou_ann"}
        self.assertEqual(self.act(**write, text="whole"), {"code": 200, "data": None})
        self.assertEqual(self.act(**write, text="in parts", parts=3), {"code": 200, "data": None})
        self.send("interactive", CARD)
        word = self.act(do="press", chat=GROUP, user="ou_ann", text="Allow")
        self.assertEqual(word, {"code": 200, "data": {"toast": {"type": "success", "content": "Allowed"}}})
        self.assertEqual(heard, ["whole", "in parts", {"token": "t-1"}])
        self.assertEqual(self.act(do="state")["complaints"], [])


if __name__ == "__main__":
    unittest.main()
