"""An adapter made from the WIT alone, with componentize-py: what the interface looks like without any SDK of ours.

Events are JSON objects; a view is posted by http, and once it stands there it is changed.
"""

import json

from componentize_py_types import Err
from wit_world.exports import delivery, ingress
from wit_world.imports import http, manifest, memory, types


def _answer(status: int = 200) -> types.Answer:
    return types.Answer(status=status, headers=[], body=b"")


class Describe:
    def describe(self) -> manifest.About:
        return manifest.About(
            platform="python",
            title="Python",
            version="1",
            api_base=None,
            modes=[
                manifest.Mode(
                    name="webhook",
                    purpose="JSON by webhook.",
                    transports=[
                        manifest.Transport_Webhook(
                            [
                                manifest.Route(
                                    name="",
                                    methods=["POST"],
                                    verification=manifest.Verification_Unverified(),
                                    max_body_bytes=65536,
                                    deadline_ms=3000,
                                    fallback=_answer(),
                                )
                            ]
                        )
                    ],
                    secrets=["token"],
                )
            ],
            settings=[],
            secrets=[
                manifest.Secret(
                    name="token",
                    purpose="Lets the bot speak.",
                    targets=["/messages"],
                    slots=[manifest.Slot_Header(("Authorization", "Bearer "))],
                    crypto=False,
                )
            ],
            minted=[],
            egress=[],
            limits=manifest.Limits(
                update_interval_ms=1000,
                updates_max=None,
                refresh_ms=None,
                upload_max_bytes=0,
                rates=[manifest.Rate(bucket="messages", calls=5, per_ms=1000)],
            ),
            abilities=manifest.Abilities.UPDATE,
            extra=[],
        )


class Ingress:
    def translate(self, event: types.Event) -> ingress.Translated:
        try:
            said = json.loads(event.payload)
            origin = types.Origin(
                key=said["id"],
                conversation=types.Conversation(
                    tenant=None, channel=said["channel"], thread=said.get("thread"), direct=False
                ),
                sender=types.Person(
                    id=said["from"], name=None, handle=None, tenant=None, groups=[], locale=None, bot=False
                ),
                sent=event.received,
                reply_to=b"",
                extra=[],
            )
            message = ingress.Message(
                id=said["id"],
                text=said["text"],
                mentions=[],
                addressed=True,
                quotes=None,
                new_thread=None,
                attachments=[],
                group=None,
            )
        except (KeyError, ValueError) as problem:
            raise Err(types.Error_Malformed(repr(problem))) from problem
        return ingress.Translated([ingress.Item(origin, ingress.What_Message(message))], None)


class Delivery:
    def show(self, view: delivery.View, target: delivery.Target) -> int | None:
        text = "\n".join(
            block.part.value for block in view.blocks if isinstance(block.part, delivery.Part_Text)
        )
        posted = target.memory.decode() if target.memory else None
        answer = http.send(
            http.Request(
                method="PUT" if posted else "POST",
                url=f"/messages/{posted}" if posted else "/messages",
                headers=[("Content-Type", "application/json")],
                body=http.Body_Bytes(
                    json.dumps({"channel": target.conversation.channel, "text": text, "nonce": target.nonce}).encode()
                ),
                secrets=[manifest.Placement("token", manifest.Slot_Header(("Authorization", "Bearer ")))],
                timeout_ms=None,
                repeatable=True,
                buckets=["messages"],
                wait_ms=1000,
                max_bytes=65536,
            )
        )
        if answer.status == 401:
            raise Err(types.Error_Unauthorized("the token was refused"))
        if answer.status >= 300:
            raise Err(types.Error_Unavailable(f"status {answer.status}"))
        if not posted:
            message = json.loads(answer.body)["id"]
            memory.save(message.encode())
            memory.posted(message)
        return None
