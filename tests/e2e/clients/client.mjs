// SPDX-License-Identifier: Apache-2.0
// The official JavaScript client against a cluster: node client.mjs KUBECONFIG IMAGE (where @kubernetes/client-node is found).
import * as k8s from '@kubernetes/client-node';
import { Writable } from 'node:stream';

const [kubeconfig, image] = process.argv.slice(2);
const kc = new k8s.KubeConfig();
kc.loadFromFile(kubeconfig);
const core = kc.makeApiClient(k8s.CoreV1Api);
let failed = 0;

function check(what, good, got) {
	console.log(`${good ? 'ok' : 'not ok'} clients: javascript: ${what}${good ? '' : ` (got ${JSON.stringify(got)})`}`);
	failed += good ? 0 : 1;
}

// Resolves when the predicate holds after some event of the informer.
function until(informer, predicate, what) {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(new Error(`waited too long: ${what}`)), 60000);
		const look = () => {
			if (predicate()) {
				clearTimeout(timer);
				resolve();
			}
		};
		for (const ev of ['add', 'update', 'delete']) informer.on(ev, look);
		look();
	});
}

const namespace = 'js';
await core.createNamespace({ body: { metadata: { name: namespace } } });
const names = [];
const informer = k8s.makeInformer(kc, `/api/v1/namespaces/${namespace}/pods`, () => core.listNamespacedPod({ namespace }));
informer.on('add', (pod) => names.push(pod.metadata.name));
let stopping = false;
informer.on('error', (e) => {
	if (!stopping) check('informer', false, String(e)); // stop() ends its watch by aborting it
});
await informer.start();
const spec = {
	terminationGracePeriodSeconds: 0,
	containers: [{ name: 'c', image, command: ['sh', '-c', 'echo started; sleep 100000'] }],
};
await core.createNamespacedPod({ namespace, body: { metadata: { name: 'p' }, spec } });
const running = () => informer.get('p', namespace)?.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True');
await until(informer, running, 'the pod is Ready');
check('an informer follows a pod until it is Ready', names.join() === 'p', names);

await core.patchNamespacedPod(
	{ name: 'p', namespace, body: { metadata: { labels: { a: 'b' } } } },
	k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.StrategicMergePatch),
);
await until(informer, () => informer.get('p', namespace)?.metadata?.labels?.a === 'b', 'the label is seen');
check('a strategic merge patch reaches the informer', true);

let out = '';
const stdout = new Writable({ write(chunk, _, done) { out += chunk; done(); } });
const status = await new Promise((resolve, reject) => {
	new k8s.Exec(kc).exec(namespace, 'p', 'c', ['sh', '-c', 'echo from exec; exit 3'], stdout, null, null, false, resolve).catch(reject);
});
check('exec gives output and exit status', out === 'from exec\n' && status.status === 'Failure' &&
	status.details?.causes?.some((c) => c.reason === 'ExitCode' && c.message === '3'), { out, status });

const log = await core.readNamespacedPodLog({ name: 'p', namespace });
check('log', log === 'started\n', log);
try {
	await core.readNamespacedPod({ name: 'absent', namespace });
	check('what is absent is 404', false);
} catch (e) {
	check('what is absent is 404', e.code === 404, e.code);
}
await core.deleteNamespacedPod({ name: 'p', namespace });
await until(informer, () => !informer.get('p', namespace), 'the deletion is seen');
check('the informer sees the deletion', true);
stopping = true;
await informer.stop();
await core.deleteNamespace({ name: namespace });
process.exit(failed ? 1 : 0);
