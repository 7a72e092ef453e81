// What a platform does with the client that openapi-generator makes of /openapi.json.
// node client.js ADDRESS KEY
import {
  Action,
  Configuration,
  ModerateApi,
  ProblemAnswerFromJSON,
  ReadApi,
  ResponseError,
  WebhookBodyFromJSON,
  type ProblemAnswer,
  type UsedPrediction,
  type Verdict,
} from './generated';

async function problem(call: Promise<unknown>): Promise<ProblemAnswer> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ResponseError) {
      return ProblemAnswerFromJSON(await error.response.json());
    }
    throw error;
  }
  throw new Error('no problem came');
}

async function main(basePath: string, accessToken: string): Promise<void> {
  const configuration = new Configuration({ basePath, accessToken });
  const moderate = new ModerateApi(configuration);
  const read = new ReadApi(configuration);
  const upload = { id: 'u1', uploader: 'by', title: 'bad', publishedAt: new Date('2026-01-31T12:00:00Z') };

  const made = await moderate.moderate({ upload });
  const verdict: Verdict = made.verdict;
  const used: UsedPrediction[] = verdict.predictions ?? [];
  const known = await read.getVerdict({ uploadId: 'u1' });
  const batch = await moderate.moderateBatch({ uploadBatch: { uploads: [upload, { ...upload, id: '' }] } });
  const hook = WebhookBodyFromJSON({
    type: 'verdict',
    timestamp: '2026-01-31T12:00:02Z',
    data: JSON.parse(JSON.stringify({ upload_id: 'u1', action: 'remove' })),
  });
  console.log(
    JSON.stringify({
      removed: verdict.action === Action.Remove,
      at: verdict.at.getTime() > 0,
      reasons: verdict.reasons,
      scores: Object.fromEntries(used.map((one) => [one.detector, one.score])),
      predictions: made.predictions.map((one) => one.detector).sort(),
      same: known.verdict.id === verdict.id,
      batch: batch.results.map((one) => one.problem?.status ?? one.verdict?.action),
      invalid: await problem(moderate.moderate({ upload: { ...upload, id: '' } })),
      unknown: await problem(read.getVerdict({ uploadId: 'nobody' })),
      key: await problem(new ReadApi(new Configuration({ basePath, accessToken: 'qm_wrong' })).getModels()),
      hook: hook.data.action,
    }),
  );
}

main(process.argv[2]!, process.argv[3]!).catch((error) => {
  console.error(error);
  process.exit(1);
});
