// Loaded before each test. X's hosts are behind the proxy of HTTPS_PROXY, to which Node pays no heed by itself before
// Node 24: with this its fetch does, and its https for those who name no agent of their own.
import https from "node:https";
import { HttpsProxyAgent } from "https-proxy-agent";
import { EnvHttpProxyAgent, setGlobalDispatcher } from "undici";

setGlobalDispatcher(new EnvHttpProxyAgent());
if (process.env.HTTPS_PROXY) https.globalAgent = new HttpsProxyAgent(process.env.HTTPS_PROXY);
