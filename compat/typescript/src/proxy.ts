// Loaded before each test. Node's own fetch pays no heed to HTTPS_PROXY before Node 24, and X's hosts are behind that
// proxy: with this it does.
import { EnvHttpProxyAgent, setGlobalDispatcher } from "undici";

setGlobalDispatcher(new EnvHttpProxyAgent());
