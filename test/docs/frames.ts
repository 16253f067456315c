/** A frame with every field that is known of it for each recorded channel, and an entry of each list of instruments. */

/** What an exchange sends, values made up. */
export interface Known {
  /** By channel, as docs/exchanges.md names it. */
  readonly frames: Readonly<Record<string, readonly string[]>>;
  /** The answer that `fetchInstruments` reads, with one entry. */
  readonly instruments: object;
}

const BINANCE: Known = {
  frames: {
    bookTicker: [
      '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":400900217,"s":"BTCUSDT","ps":"BTCUSDT","b":"61000.10","B":"1.5","a":"61000.20","A":"0.4","T":1790000000001,"E":1790000000003,"st":1}}',
    ],
    aggTrade: [
      '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1790000000103,"a":3400000001,"s":"BTCUSDT","p":"61000.20","q":"0.016","nq":"0.012","f":8150000001,"l":8150000003,"T":1790000000001,"m":false,"st":1}}',
    ],
    trade: [
      '{"stream":"btcusdt@trade","data":{"e":"trade","E":1790000000103,"T":1790000000101,"s":"BTCUSDT","t":8150000001,"p":"61000.20","q":"0.010","X":"MARKET","m":true,"st":1}}',
    ],
    markPriceUpdate: [
      '{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1790000001000,"s":"BTCUSDT","p":"61000.15","ap":"61000.10","P":"60998.00","i":"61003.00","r":"0.00010000","T":1790006400000,"st":1}}',
    ],
    forceOrder: [
      '{"stream":"!forceOrder@arr","data":{"e":"forceOrder","E":1790000001055,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.190","p":"60700.30","ap":"60950.90","X":"FILLED","l":"0.155","z":"0.180","T":1790000001000,"ps":"BTCUSDT","st":1}}}',
    ],
  },
  instruments: {
    symbols: [
      {
        symbol: "1000PEPEUSDT",
        contractType: "PERPETUAL",
        status: "TRADING",
        baseAsset: "1000PEPE",
        quoteAsset: "USDT",
        marginAsset: "USDC",
        onboardDate: 1683000000000,
        deliveryDate: 1798000000000,
        filters: [
          { filterType: "PRICE_FILTER", tickSize: "0.0000001" },
          { filterType: "LOT_SIZE", stepSize: "1" },
        ],
      },
    ],
  },
};

const BYBIT: Known = {
  frames: {
    "orderbook.1": [
      '{"topic":"orderbook.1.BTCUSDT","ts":1790000000003,"type":"snapshot","data":{"s":"BTCUSDT","b":[["61000.1","1.5"]],"a":[["61000.2","0.4"]],"u":7000001,"seq":110000000001},"cts":1790000000001}',
    ],
    publicTrade: [
      '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1790000000003,"data":[{"T":1790000000001,"s":"BTCUSDT","S":"Buy","v":"0.011","p":"61000.20","L":"PlusTick","i":"00000000-0000-5000-8000-000000000001","BT":false,"RPI":false,"seq":820000000001}]}',
    ],
    tickers: [
      '{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","tickDirection":"PlusTick","price24hPcnt":"-0.005","lastPrice":"61000.10","prevPrice24h":"61300.00","highPrice24h":"61500.00","lowPrice24h":"60100.00","prevPrice1h":"61200.00","markPrice":"61000.15","indexPrice":"61003.00","openInterest":"50000.5","openInterestValue":"3050000000.5","turnover24h":"3900000000.1","volume24h":"64000.5","fundingIntervalHour":"8","fundingCap":"0.005","singleOpenInterest":"25000.25","singleOpenInterestValue":"1525000000.2","nextFundingTime":"1790006400000","fundingRate":"0.0001","bid1Price":"61000.10","bid1Size":"1.5","ask1Price":"61000.20","ask1Size":"0.4","preOpenPrice":"","preQty":"","curPreListingPhase":""},"cs":810000000001,"ts":1790000000003}',
      '{"topic":"tickers.BTCUSDT-25DEC26","type":"snapshot","data":{"symbol":"BTCUSDT-25DEC26","markPrice":"61000.15","indexPrice":"61003.00","openInterest":"6.6","openInterestValue":"402600.9","deliveryTime":"2026-12-25T08:00:00Z","basisRate":"0.06","deliveryFeeRate":"0","predictedDeliveryPrice":"0.00","basis":"-47.3","basisRateYear":"0.3","nextFundingTime":"","fundingRate":""},"cs":31000000001,"ts":1790000000003}',
    ],
    allLiquidation: [
      '{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":1790000001482,"data":[{"T":1790000001000,"s":"BTCUSDT","S":"Buy","v":"0.006","p":"60900.90"}]}',
    ],
  },
  instruments: {
    retCode: 0,
    retMsg: "OK",
    result: {
      category: "linear",
      nextPageCursor: "",
      list: [
        {
          symbol: "1000PEPEUSDT",
          contractType: "LinearPerpetual",
          status: "Trading",
          baseCoin: "PEPE",
          quoteCoin: "USDT",
          settleCoin: "USDC",
          launchTime: "1683000000000",
          deliveryTime: "1798000000000",
          priceFilter: { tickSize: "0.0000001" },
          lotSizeFilter: { qtyStep: "100" },
        },
      ],
    },
  },
};

const OKX: Known = {
  frames: {
    "bbo-tbt": [
      '{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT-SWAP"},"data":[{"asks":[["61000.2","40","0","2"]],"bids":[["61000.1","150","0","5"]],"ts":"1790000000001","seqId":36000001}]}',
    ],
    trades: [
      '{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"1040000003","px":"61000.2","sz":"2.4","side":"buy","ts":"1790000000001","count":"3","source":"0","seqId":79000000001}]}',
    ],
    "trades-all": [
      '{"arg":{"channel":"trades-all","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"1040000003","px":"61000.2","sz":"2.4","side":"buy","ts":"1790000000001","source":"0","seqId":79000000001}]}',
    ],
    "mark-price": [
      '{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","markPx":"61000.1","ts":"1790000000001"}]}',
    ],
    "index-tickers": [
      '{"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"61003","open24h":"61300","high24h":"61500","low24h":"60100","sodUtc0":"61100","sodUtc8":"61200","ts":"1790000000001"}]}',
    ],
    "funding-rate": [
      '{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"formulaType":"withRate","fundingRate":"0.0001","fundingTime":"1790006400000","impactValue":"10000","instId":"BTC-USDT-SWAP","instType":"SWAP","interestRate":"0.0001","maxFundingRate":"0.00375","method":"current_period","minFundingRate":"-0.00375","nextFundingRate":"0.0002","nextFundingTime":"1790035200000","premium":"-0.0008","prevFundingTime":"1789977600000","settFundingRate":"-0.0002","settState":"settled","ts":"1790000000001"}]}',
    ],
    "open-interest": [
      '{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","oi":"5000000","oiCcy":"50000","oiUsd":"3050000000","ts":"1790000000001"}]}',
    ],
    "liquidation-orders": [
      '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"60900.7","ccy":"","posSide":"long","side":"sell","sz":"8.55","ts":"1790000001000"}],"instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP","uly":"BTC-USDT"}]}',
    ],
  },
  instruments: {
    code: "0",
    msg: "",
    data: [
      {
        baseCcy: "",
        ctMult: "1",
        ctType: "linear",
        ctVal: "0.01",
        ctValCcy: "1000PEPE",
        expTime: "1798000000000",
        instId: "1000PEPE-USDT-SWAP",
        listTime: "1573557408000",
        lotSz: "0.02",
        quoteCcy: "",
        settleCcy: "USDC",
        state: "live",
        tickSz: "0.1",
        uly: "1000PEPE-USDT",
      },
    ],
  },
};

/** By name of the exchange. */
export const KNOWN: Readonly<Record<string, Known>> = { binance: BINANCE, bybit: BYBIT, okx: OKX };
