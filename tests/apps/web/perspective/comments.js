// Calls comments:analyze with the clients that Perspective's users have, and prints what they got.
// node comments.js FOLDER_OF_NODE_MODULES ADDRESS KEY
const [modules, address, key] = process.argv.slice(2);
const load = (name) => require(require.resolve(name, { paths: [modules] }));

async function perspectiveApiClient() {
  const Perspective = load('perspective-api-client');
  // The address is a constant of this client: its axios is pointed elsewhere.
  const place = require.resolve('perspective-api-client', { paths: [modules] });
  const axios = require(require.resolve('axios', { paths: [place] }));
  axios.interceptors.request.use((config) => {
    config.url = config.url.replace('https://commentanalyzer.googleapis.com', address);
    return config;
  });
  const client = new Perspective({ apiKey: key });
  const caught = async (promise) => promise.catch((error) => error.message);
  return {
    good: await client.analyze('It is a <b>fine</b> day in the park, and the children are happy.', { attributes: ['spam'] }),
    bad: await client.analyze({
      comment: { text: 'It is a bad day in the park, and the children are sad.' },
      languages: ['en'],
      requestedAttributes: { SPAM: { scoreThreshold: 0.5 } },
    }),
    unknown: await caught(client.analyze('It is a fine day')),
    key: await caught(new Perspective({ apiKey: 'none' }).analyze('x', { attributes: ['SPAM'] })),
  };
}

async function googleDiscovery() {
  const { Discovery } = load('googleapis-common');
  const make = await new Discovery().discoverAPI(`${address}/$discovery/rest?version=v1alpha1`);
  const client = make({}); // as google.discoverAPI(url) of googleapis does
  const answer = await client.comments.analyze({
    key,
    resource: { comment: { text: 'It is a bad day in the park, and the children are sad.' }, requestedAttributes: { SPAM: {} } },
  });
  return answer.data;
}

(async () => {
  const made = { client: await perspectiveApiClient(), google: await googleDiscovery() };
  console.log(JSON.stringify(made));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
