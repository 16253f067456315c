"""cryptofeed on the frames of the load source, over real sockets, into its leanest backend.

    python cryptofeed_run.py HOST:PORT SINK_PORT SYMBOLS

Settings are those that make it quick: uvloop, no logging, raw messages not kept, ticker and trades only, no
compression, one line of text an event over one TCP connection (its QuestDB backend), everything in one process.
Prints its version when it is about to connect. Its CPU time is read from outside.
"""

import asyncio
import logging
import sys

import uvloop
from cryptofeed import FeedHandler, connection
from cryptofeed.backends.quest import TickerQuest, TradeQuest
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import TICKER, TRADES
from cryptofeed.exchanges import BinanceFutures
from importlib.metadata import version

host, sink, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
asyncio.set_event_loop(uvloop.new_event_loop())
logging.disable(logging.ERROR)
BinanceFutures.websocket_endpoints = [WebsocketEndpoint(f"ws://{host}", options={"compression": None})]
BinanceFutures.rest_endpoints = [RestEndpoint(f"http://{host}", routes=Routes("/fapi/v1/exchangeInfo"))]

# It accepts addresses of wss alone; the source speaks ws, which spares it the cost of TLS.
_init = connection.WSAsyncConn.__init__


def _init_plain(self, address, *args, **kwargs):
    _init(self, address.replace("ws://", "wss://"), *args, **kwargs)
    self.address = address


connection.WSAsyncConn.__init__ = _init_plain

symbols = [name for name in BinanceFutures.symbols() if name.endswith("-USDT-PERP")][:count]
handler = FeedHandler(config={"log": {"disabled": True}, "uvloop": False})
callbacks = {TICKER: TickerQuest(port=sink), TRADES: TradeQuest(port=sink)}
handler.add_feed(BinanceFutures(symbols=symbols, channels=[TICKER, TRADES], callbacks=callbacks))
print(version("cryptofeed"), sys.version.split()[0], len(symbols), flush=True)
handler.run()
