/** Registers and bits of the 16550A (National PC16550D data sheet; names after linux/serial_reg.h). */

export const UART_LCR_DLAB = 0x80;
export const UART_LCR_SBC = 0x40;

export const UART_IER_MSI = 0x08;
export const UART_IER_RLSI = 0x04;
export const UART_IER_THRI = 0x02;
export const UART_IER_RDI = 0x01;

export const UART_IIR_NO_INT = 0x01;
export const UART_IIR_ID = 0x06;
export const UART_IIR_MSI = 0x00;
export const UART_IIR_THRI = 0x02;
export const UART_IIR_RDI = 0x04;
export const UART_IIR_RLSI = 0x06;
/** Characters wait in the FIFO below the trigger level. */
export const UART_IIR_CTI = 0x0c;
/** FIFOs are on. */
export const UART_IIR_FE = 0xc0;

export const UART_FCR_FE = 0x01;
export const UART_FCR_RFR = 0x02;
export const UART_FCR_XFR = 0x04;
export const UART_FCR_DMS = 0x08;

export const UART_MCR_DTR = 0x01;
export const UART_MCR_RTS = 0x02;
export const UART_MCR_OUT1 = 0x04;
export const UART_MCR_OUT2 = 0x08;
export const UART_MCR_LOOP = 0x10;

export const UART_LSR_DR = 0x01;
export const UART_LSR_OE = 0x02;
export const UART_LSR_BI = 0x10;
export const UART_LSR_THRE = 0x20;
export const UART_LSR_TEMT = 0x40;
/** Conditions that raise a line status interrupt: overrun, parity, framing, break. */
export const UART_LSR_INT_ANY = 0x1e;

export const UART_MSR_DCTS = 0x01;
export const UART_MSR_TERI = 0x04;
export const UART_MSR_CTS = 0x10;
export const UART_MSR_DSR = 0x20;
export const UART_MSR_RI = 0x40;
export const UART_MSR_DCD = 0x80;
export const UART_MSR_ANY_DELTA = 0x0f;
