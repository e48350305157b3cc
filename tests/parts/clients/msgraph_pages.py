"""Reads Alice's mailbox page by page through a route with `rewrite_json`. usage: BASE_URL of the route"""
import asyncio
import json
import os

from kiota_abstractions.authentication import AnonymousAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient

adapter = GraphRequestAdapter(AnonymousAuthenticationProvider())
adapter.base_url = os.environ["BASE_URL"]
graph = GraphServiceClient(request_adapter=adapter)


async def read():
    me = await graph.me.get()
    page, subjects, links = await graph.me.messages.get(), [], []
    while page:
        subjects += [message.subject for message in page.value]
        if not page.odata_next_link:
            break
        links.append(page.odata_next_link)
        page = await graph.me.messages.with_url(page.odata_next_link).get()
    print(json.dumps({"me": me.display_name, "subjects": subjects, "links": links}))


asyncio.run(read())
