/** The comparison drawn: a group of bars a program, our speed in multiples of each peer's. */
import * as echarts from 'echarts';
import { type ComparedRow, meanSpeedOver, speedOver } from './comparison.ts';
import { figure } from './report.ts';

const PEERS = [
  { peer: 'v86', title: 'over v86', color: '#d98324' },
  { peer: 'qemu', title: 'over QEMU without KVM', color: '#3567a8' },
] as const;
const ROW_HEIGHT = 34;
const WIDTH = 900;
const MARGINS = { top: 80, bottom: 50, left: 110, right: 70 };

/** An SVG document. The scale is logarithmic: twice as fast and half as fast are equally far from the line at 1. */
export function plotComparison(title: string, rows: readonly ComparedRow[]): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: MARGINS.top + MARGINS.bottom + ROW_HEIGHT * (rows.length + 1) });
  try {
    const peers = PEERS.filter(({ peer }) => meanSpeedOver(rows, peer) !== null);
    chart.setOption({
      animation: false,
      title: { text: title, left: 'center', top: 10 },
      legend: { top: 42, itemGap: 30 },
      grid: MARGINS,
      xAxis: { type: 'log', name: 'times as fast', nameLocation: 'middle', nameGap: 28, axisLabel: { formatter: (value: number) => figure(value) } },
      yAxis: { type: 'category', inverse: true, data: [...rows.map(({ name }) => name), 'geom. mean'] },
      series: peers.map(({ peer, title: name, color }) => ({
        type: 'bar', name, itemStyle: { color },
        data: [...rows.map((row) => speedOver(row, peer)), meanSpeedOver(rows, peer)].map(bar),
        label: { show: true, fontSize: 11, formatter: ({ value }: { value: unknown }) => figure(Number(value)) },
        markLine: { silent: true, symbol: 'none', label: { show: false }, lineStyle: { color: '#444', type: 'solid' }, data: [{ xAxis: 1 }] },
      })),
    });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

/** The figure stands at the end of the bar that is away from the line at 1. */
function bar(value: number | null): object {
  return { value, label: { position: value !== null && value < 1 ? 'left' : 'right' } };
}
